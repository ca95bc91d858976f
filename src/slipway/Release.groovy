package slipway

import groovy.json.JsonOutput

/** What both pipelines share: the record, and how a run ends. */
class Release implements Serializable {
    private static final long serialVersionUID = 1L

    protected final Script steps
    protected final Settings settings
    protected final Helpers helpers
    protected final Map<String, Object> facts = [:]

    Release(Script steps, Settings settings) {
        this.steps = steps
        this.settings = settings
        this.helpers = new Helpers(steps, settings)
    }

    /** Notes a fact for the audit record. */
    protected void note(String name, Object value) {
        facts[name] = value
    }

    /** Runs the body; however it ends, the record is kept and the error goes on. */
    void record(Closure body) {
        note('app', settings.value('app'))
        note('build', steps.env.BUILD_URL)
        note('outcome', 'failed')
        try {
            body()
            note('outcome', 'done')
        } finally {
            steps.echo('slipway-record: ' + JsonOutput.toJson(facts))
            keep()
        }
    }

    /** Archives the record from whatever agent can be had; a run that ends badly has it in its console too. */
    protected void keep() {
        String text = JsonOutput.prettyPrint(JsonOutput.toJson(facts))
        try {
            helpers.inPod('record', 5) {
                steps.writeFile(file: 'slipway-record.json', text: text)
                steps.archiveArtifacts(artifacts: 'slipway-record.json')
            }
        } catch (Throwable problem) {
            steps.echo("the record could not be archived: ${problem.message}")
        }
    }
}
