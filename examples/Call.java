import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.UUID;

/** Calls a service through the own gateway with the JDK's own client. */
public final class Call {
    public static void main(String[] arguments) throws Exception {
        var id = UUID.randomUUID().toString();
        var request = HttpRequest.newBuilder()
                .uri(URI.create(System.getenv("GATEWAY") + "/r1/" + System.getenv("SERVICE") + "/people/7"))
                .timeout(Duration.ofSeconds(90))
                .header("X-Road-Client", System.getenv("CLIENT"))
                .header("X-Road-Id", id)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"weeks\": 42}"))
                .build();
        // HTTP/1.1: a gateway speaks no other version to its systems.
        var http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        var answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.headers().firstValue("X-Road-Error").isPresent()) {
            System.err.println(answer.body());
            System.exit(1);
        }
        System.out.println(answer.statusCode() + " " + id + " " + answer.body());
    }
}
