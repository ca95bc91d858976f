import slipway.Settings
import slipway.SiteCheck

void call(Map<String, Object> arguments = [:]) {
    Map<String, Object> own = [pipeline: 'prodCanaryPipeline', jenkinsCredentialsId: '']
    Map<String, Object> others = [:]
    arguments.each { String name, Object value -> (own.containsKey(name) ? own : others).put(name, value) }
    Settings settings = new Settings(this, "${own.pipeline}".toString(), others)
    settings.check()
    SiteCheck site = new SiteCheck(this, settings, "${own.jenkinsCredentialsId}".toString())
    site.run(own.pipeline == 'stagingPipeline' ? 'staging' : 'production')
}
