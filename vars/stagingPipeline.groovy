import slipway.Settings
import slipway.StagingRelease

void call(Map<String, Object> arguments = [:]) {
    Settings settings = new Settings(this, 'stagingPipeline', arguments)
    settings.check()
    StagingRelease release = new StagingRelease(this, settings)
    release.record {
        release.inPod {
            stage('Checkout & Stash') { release.checkOut() }
            stage('Validate Application') { release.validate() }
            stage('Build, Scan & Push') { release.buildScanAndPush() }
            stage('Database Migration') { release.migrate() }
            stage('Deploy to Staging') { release.deploy() }
        }
    }
}
