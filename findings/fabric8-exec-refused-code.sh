#!/usr/bin/env bash
# fabric8 kubernetes-client 7.4.0: of an exec that the API server refuses, the exception knows
# neither the HTTP code nor the Status that the server sent.
#
# A GET that is refused with 403 throws a KubernetesClientException whose getCode() is 403 and
# whose getStatus() is the server's. The same refusal of pods/exec throws the same class with
# code -1, no status, and the message "An error has occurred."; the 403 stands only in the text
# of the last cause, and the server's own reason (a webhook's or a quota's words, say) nowhere.
# Who decides by getCode() whether to try again takes a refusal for a broken connection.
#
# Seen:
# get: KubernetesClientException code 403 status true
# get: last cause KubernetesClientException, reason told true
# exec: KubernetesClientException code -1 status false message An error has occurred.
# exec: last cause UpgradeRejectedException, reason told false
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p src/main/java
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target><project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
  <dependencies>
    <dependency><groupId>io.fabric8</groupId><artifactId>kubernetes-client</artifactId><version>7.4.0</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.17</version></dependency>
  </dependencies>
</project>
XML
cat > src/main/java/Finding.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import io.fabric8.kubernetes.client.*;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

public class Finding {
    static final String STATUS = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        + "\"message\":\"pods \\\"app\\\" is forbidden: not today\",\"reason\":\"Forbidden\",\"code\":403}";

    static final String POD = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"app\",\"namespace\":\"default\"},"
        + "\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"app\"}]},\"status\":{\"phase\":\"Running\","
        + "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],"
        + "\"containerStatuses\":[{\"name\":\"app\",\"ready\":true,\"state\":{\"running\":{}}}]}}";

    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> {
            String path = exchange.getRequestURI().getPath();
            byte[] body = (path.endsWith("/pods/app") ? POD : STATUS).getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(path.endsWith("/pods/app") ? 200 : 403, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        Config config = new ConfigBuilder(Config.empty()).withMasterUrl("http://127.0.0.1:" + server.getAddress().getPort())
            .withNamespace("default").withRequestRetryBackoffLimit(0).build();
        try (KubernetesClient client = new KubernetesClientBuilder().withConfig(config).build()) {
            tell("get", () -> client.services().withName("app").get());
            tell("exec", () -> {
                try (var exec = client.pods().withName("app").writingOutput(System.err).exec("true")) {
                    exec.exitCode().get(20, TimeUnit.SECONDS);
                }
            });
        }
        server.stop(0);
    }

    interface Call { void run() throws Exception; }

    static void tell(String name, Call call) {
        try {
            call.run();
            System.out.println(name + ": no error");
        } catch (Exception refused) {
            String code = refused instanceof KubernetesClientException each ? each.getCode() + " status " + (each.getStatus() != null) : "-";
            System.out.println(name + ": " + refused.getClass().getSimpleName() + " code " + code + (refused.getMessage().length() < 40 ? " message " + refused.getMessage() : ""));
            Throwable last = refused;
            boolean told = false;
            for (Throwable each = refused; each != null; each = each.getCause()) {
                last = each;
                told |= String.valueOf(each.getMessage()).contains("not today");
            }
            System.out.println(name + ": last cause " + last.getClass().getSimpleName() + ", reason told " + told);
        }
    }
}
JAVA
mvn -q -B -ntp compile dependency:build-classpath -Dmdep.outputFile=classpath > mvn.log 2>&1 || { cat mvn.log; exit 1; }
seen=$(java -cp "target/classes:$(cat classpath)" Finding)
echo "$seen"
grep -qxF 'get: KubernetesClientException code 403 status true' <<<"$seen"
grep -qxF 'get: last cause KubernetesClientException, reason told true' <<<"$seen"
grep -qxF 'exec: KubernetesClientException code -1 status false message An error has occurred.' <<<"$seen"
grep -qxF 'exec: last cause UpgradeRejectedException, reason told false' <<<"$seen"
