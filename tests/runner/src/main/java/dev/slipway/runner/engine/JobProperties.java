package dev.slipway.runner.engine;

import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import org.xml.sax.SAXException;

/**
 * The properties of a job, by their kind: parameters, disableConcurrentBuilds, and others that only
 * are kept. What the step properties sets replaces what it set before; what the job has of its own stays.
 */
public final class JobProperties {
    private static final String TRACKED = "set by the step";
    private static final String ALL = "properties";

    private JobProperties() {}

    /** Sets these, and takes away what the step had set before. The map is the job's in shared.yaml. */
    @SuppressWarnings("unchecked")
    static void replace(Map<String, Object> job, Map<String, Object> properties) {
        Map<String, Object> all = (Map<String, Object>) job.computeIfAbsent(ALL, none -> new LinkedHashMap<String, Object>());
        ((List<String>) job.getOrDefault(TRACKED, List.of())).forEach(all::remove);
        all.putAll(properties);
        job.put(TRACKED, new ArrayList<>(properties.keySet()));
    }

    /** What the job has of its own, as its configuration in XML says it; only for a job that has had no build. */
    static void begin(Map<String, Object> job, String xml) throws IOException {
        if (xml != null && !job.containsKey(ALL)) {
            job.put(ALL, read(xml));
        }
    }

    static Object get(Map<String, Object> job, String kind) {
        return job.get(ALL) instanceof Map<?, ?> all ? all.get(kind) : null;
    }

    private static Map<String, Object> read(String xml) throws IOException {
        try {
            DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
            factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
            Element root = factory.newDocumentBuilder().parse(new InputSource(new StringReader("<properties>" + xml
                    + "</properties>"))).getDocumentElement();
            Map<String, Object> all = new LinkedHashMap<>();
            for (Element property : children(root)) {
                String name = property.getTagName().replaceAll("^.*\\.", "");
                switch (name) {
                    case "ParametersDefinitionProperty" -> all.put("parameters", parameters(property));
                    case "DisableConcurrentBuildsJobProperty" -> all.put("disableConcurrentBuilds", "true".equals(text(property,
                            "abortPrevious")) ? "abortPrevious" : "queue");
                    case "PipelineTriggersJobProperty" -> all.put("pipelineTriggers",
                            children(property).stream().flatMap(each -> children(each).stream()).map(each ->
                            each.getTagName().endsWith("TimerTrigger") ? "cron" : each.getTagName().endsWith("ReverseBuildTrigger")
                                    ? "upstream" : each.getTagName()).toList());
                    default -> all.put(name, true);
                }
            }
            return all;
        } catch (SAXException | ParserConfigurationException wrong) {
            throw new IllegalArgumentException("--job-xml is not the XML of a job's properties: " + wrong.getMessage());
        }
    }

    private static List<Object> parameters(Element property) {
        List<Object> all = new ArrayList<>();
        for (Element list : children(property)) {
            for (Element each : children(list)) {
                String kind = each.getTagName().replaceAll("^.*\\.|ParameterDefinition$", "");
                Map<String, Object> parameter = new LinkedHashMap<>();
                parameter.put("kind", kind.equals("Boolean") ? "booleanParam" : kind.toLowerCase());
                parameter.put("name", text(each, "name"));
                parameter.put("defaultValue", text(each, "defaultValue"));
                NodeList choices = each.getElementsByTagName("string");
                if (choices.getLength() > 0) {
                    List<String> values = new ArrayList<>();
                    for (int i = 0; i < choices.getLength(); i++) {
                        values.add(choices.item(i).getTextContent());
                    }
                    parameter.put("choices", values);
                }
                all.add(parameter);
            }
        }
        return all;
    }

    private static String text(Element of, String name) {
        return children(of).stream().filter(each -> each.getTagName().equals(name)).map(Node::getTextContent).findFirst().orElse(null);
    }

    private static List<Element> children(Element of) {
        List<Element> all = new ArrayList<>();
        for (Node each = of.getFirstChild(); each != null; each = each.getNextSibling()) {
            if (each instanceof Element element) {
                all.add(element);
            }
        }
        return all;
    }
}
