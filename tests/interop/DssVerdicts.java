import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.diagnostic.TimestampWrapper;
import eu.europa.esig.dss.diagnostic.jaxb.XmlDigestMatcher;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;

/** Validates signed containers with the European Commission's DSS, by its own policy. Arguments: a folder with the
 *  certificates that are trusted (PEM or DER), the moment to judge at (2026-01-02T03:04:05Z), containers. A line per
 *  container: its kind, the signature's level, indication, subindication, "whole" or the name of what was changed,
 *  each timestamp's kind and whether its imprint is that of the data, and the faults that DSS found in the signature. */
public class DssVerdicts {
    public static void main(String[] words) throws Exception {
        CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
        for (File file : new File(words[0]).listFiles()) {
            trusted.addCertificate(DSSUtils.loadCertificate(file));
        }
        Date at = Date.from(Instant.parse(words[1]));
        for (String path : List.of(words).subList(2, words.length)) {
            System.out.println(verdict(path, trusted, at));
        }
    }

    private static String verdict(String path, CommonTrustedCertificateSource trusted, Date at) {
        CommonCertificateVerifier verifier = new CommonCertificateVerifier();
        verifier.setTrustedCertSources(trusted);
        SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(path));
        validator.setCertificateVerifier(verifier);
        validator.setValidationTime(at);
        Reports reports = validator.validateDocument();
        SimpleReport simple = reports.getSimpleReport();
        DiagnosticData data = reports.getDiagnosticData();
        String id = simple.getFirstSignatureId();
        if (id == null) {
            return simple.getContainerType() + "\tno signature";
        }
        String whole = "whole";
        for (XmlDigestMatcher digest : data.getSignatureById(id).getDigestMatchers()) {
            if (!digest.isDataIntact()) {
                whole = digest.getUri();
            }
        }
        List<String> timestamps = new ArrayList<>();
        for (TimestampWrapper timestamp : data.getTimestampList()) {
            timestamps.add(timestamp.getType() + "=" + timestamp.isMessageImprintDataIntact());
        }
        List<String> faults = new ArrayList<>(data.getSignatureById(id).getStructuralValidationMessages());
        simple.getAdESValidationErrors(id).forEach(fault -> faults.add(fault.getValue()));
        return String.join("\t",
                String.valueOf(simple.getContainerType()),
                String.valueOf(simple.getSignatureFormat(id)),
                String.valueOf(simple.getIndication(id)),
                String.valueOf(simple.getSubIndication(id)),
                whole,
                String.join(",", timestamps),
                String.join("; ", faults));
    }
}
