import jakarta.xml.soap.SOAPElement;
import jakarta.xml.soap.SOAPEnvelope;
import jakarta.xml.soap.SOAPException;
import jakarta.xml.soap.SOAPMessage;
import java.util.List;
import java.util.TreeSet;
import java.util.UUID;
import org.niis.xrd4j.client.SOAPClient;
import org.niis.xrd4j.client.SOAPClientImpl;
import org.niis.xrd4j.client.deserializer.AbstractResponseDeserializer;
import org.niis.xrd4j.client.serializer.AbstractServiceRequestSerializer;
import org.niis.xrd4j.common.member.ConsumerMember;
import org.niis.xrd4j.common.member.ProducerMember;
import org.niis.xrd4j.common.message.ServiceRequest;
import org.niis.xrd4j.common.message.ServiceResponse;
import jakarta.xml.soap.Node;
import org.w3c.dom.NodeList;

/**
 * Calls a gateway with XRd4J and prints what it understood, a line each: the clients of the instance, the provider's methods and those that
 * are allowed, and the answer of a service that adds two numbers, or its fault.
 *
 * <p>Arguments: gateway URL, client, service, namespace of the service, first number, second number.
 */
public final class Xrd4jConsumer {
    private Xrd4jConsumer() {}

    public static void main(String[] told) throws Exception {
        String[] from = told[1].split("/");
        String[] to = told[2].split("/");
        ConsumerMember consumer = new ConsumerMember(from[0], from[1], from[2], from[3]);
        SOAPClient client = new SOAPClientImpl();

        TreeSet<String> clients = new TreeSet<>();
        for (ConsumerMember found : client.listClients(told[0])) {
            clients.add(found.toString());
        }
        System.out.println("clients " + clients.size());
        System.out.println("methods " + codes(client.listMethods(asking(consumer, to, "listMethods"), told[0])));
        System.out.println("allowed " + codes(client.allowedMethods(asking(consumer, to, "allowedMethods"), told[0])));

        ProducerMember service = new ProducerMember(to[0], to[1], to[2], to[3], to[4], to[5]);
        service.setNamespaceUrl(told[3]);
        service.setNamespacePrefix("t");
        ServiceRequest<int[]> request = new ServiceRequest<>(consumer, service, UUID.randomUUID().toString());
        request.setUserId("MX1234");
        request.setProcessingWrappers(false);
        request.setRequestData(new int[] {Integer.parseInt(told[4]), Integer.parseInt(told[5])});
        ServiceResponse<int[], String> answer = client.send(request, told[0], new Numbers(), new Sum());
        if (answer.hasError()) {
            System.out.println("fault " + answer.getErrorMessage().getFaultCode());
        } else {
            System.out.println("result " + answer.getResponseData() + " for " + answer.getConsumer().getSubsystemCode());
        }
    }

    private static ServiceRequest<String> asking(ConsumerMember consumer, String[] to, String code)
            throws Exception {
        ProducerMember provider = new ProducerMember(to[0], to[1], to[2], to[3], code);
        return new ServiceRequest<>(consumer, provider, UUID.randomUUID().toString());
    }

    private static TreeSet<String> codes(ServiceResponse<String, List<ProducerMember>> answer) {
        TreeSet<String> found = new TreeSet<>();
        for (ProducerMember member : answer.getResponseData()) {
            found.add(member.getServiceCode());
        }
        return found;
    }

    /** The request: two numbers in the service's namespace. */
    private static final class Numbers extends AbstractServiceRequestSerializer<int[]> {
        @Override
        protected void serializeRequest(ServiceRequest<int[]> request, SOAPElement element, SOAPEnvelope envelope)
                throws SOAPException {
            element.addChildElement(envelope.createName("a")).addTextNode("" + request.getRequestData()[0]);
            element.addChildElement(envelope.createName("b")).addTextNode("" + request.getRequestData()[1]);
        }
    }

    /** The answer: the sum as a text. */
    private static final class Sum extends AbstractResponseDeserializer<int[], String> {
        @Override
        protected int[] deserializeRequestData(Node request) {
            return null;
        }

        @Override
        protected String deserializeResponseData(Node response, SOAPMessage message) {
            NodeList children = response.getChildNodes();
            for (int i = 0; i < children.getLength(); i++) {
                if ("result".equals(children.item(i).getLocalName())) {
                    return children.item(i).getTextContent();
                }
            }
            return null;
        }
    }
}
