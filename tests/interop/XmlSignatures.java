import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.xml.crypto.AlgorithmMethod;
import javax.xml.crypto.KeySelector;
import javax.xml.crypto.KeySelectorResult;
import javax.xml.crypto.OctetStreamData;
import javax.xml.crypto.URIDereferencer;
import javax.xml.crypto.XMLCryptoContext;
import javax.xml.crypto.XMLStructure;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.X509Data;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** Validates XML signatures with the JDK's own validator, secure validation on. Each argument is a folder with
 *  signatures.xml and the files it refers to; a line per folder says "valid" or what is wrong. */
public class XmlSignatures {
    private static final String DS = "http://www.w3.org/2000/09/xmldsig#";

    public static void main(String[] folders) throws Exception {
        for (String folder : folders) {
            System.out.println(verdict(Path.of(folder)));
        }
    }

    private static String verdict(Path folder) {
        try {
            return validate(folder);
        } catch (Exception e) {
            return "error " + e;
        }
    }

    private static String validate(Path folder) throws Exception {
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        byte[] raw = Files.readAllBytes(folder.resolve("signatures.xml"));
        Document document = builders.newDocumentBuilder().parse(new ByteArrayInputStream(raw));
        Element signature = (Element) document.getElementsByTagNameNS(DS, "Signature").item(0);
        DOMValidateContext context = new DOMValidateContext(new FromKeyInfo(), signature);
        NodeList all = document.getElementsByTagNameNS("*", "*");
        for (int i = 0; i < all.getLength(); i++) {
            Element element = (Element) all.item(i);
            if (element.hasAttribute("Id")) {
                context.setIdAttributeNS(element, null, "Id");
            }
        }
        XMLSignatureFactory factory = XMLSignatureFactory.getInstance("DOM");
        URIDereferencer inside = factory.getURIDereferencer();
        context.setURIDereferencer((reference, ctx) -> {
            String uri = reference.getURI();
            if (uri == null || !uri.startsWith("/")) {
                return inside.dereference(reference, ctx);
            }
            try {
                return new OctetStreamData(Files.newInputStream(folder.resolve(uri.substring(1))));
            } catch (java.io.IOException e) {
                throw new javax.xml.crypto.URIReferenceException(e);
            }
        });
        XMLSignature read = factory.unmarshalXMLSignature(context);
        if (!read.getSignatureValue().validate(context)) {
            return "invalid signature value";
        }
        for (Object reference : read.getSignedInfo().getReferences()) {
            if (!((javax.xml.crypto.dsig.Reference) reference).validate(context)) {
                return "invalid reference " + ((javax.xml.crypto.dsig.Reference) reference).getURI();
            }
        }
        return read.validate(context) ? "valid" : "invalid";
    }

    /** The key of the certificate that the signature brings. */
    private static final class FromKeyInfo extends KeySelector {
        @Override
        public KeySelectorResult select(
                KeyInfo info, Purpose purpose, AlgorithmMethod method, XMLCryptoContext context) {
            for (XMLStructure part : (List<XMLStructure>) info.getContent()) {
                if (part instanceof X509Data data) {
                    Key key = ((X509Certificate) data.getContent().get(0)).getPublicKey();
                    return () -> key;
                }
            }
            throw new IllegalStateException("no certificate in KeyInfo");
        }
    }
}
