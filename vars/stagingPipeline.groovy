import slipway.Settings
import slipway.StagingRelease

void call(Map<String, Object> arguments = [:]) {
    Settings settings = new Settings(this, 'stagingPipeline', arguments)
    settings.check()
    StagingRelease release = new StagingRelease(this, settings)
    release.record {
        release.alone {
            release.inBuildPod {
                release.stage('Checkout & Stash') { release.checkOut() }
                release.stage('Validate Application') { release.validate() }
                release.stage('Build, Scan & Push') { release.build() }
            }
            release.inDeliveryPod {
                release.stage('Build, Scan & Push') { release.scanAndPush() }
                release.stage('Database Migration') { release.migrate() }
                release.stage('Deploy to Staging') { release.deploy() }
            }
        }
    }
}
