// What a build sees of the ones before it: who began them, what they set, and that they cannot be changed.
// play: end 1 ; as bob build ; end 2
@Library('conformance') _
env.FRUIT = 'apple'
env.'A.B' = 'c'
seen currentBuild.buildVariables
seen currentBuild.keepLog
if (currentBuild.number == 1) {
    currentBuild.keepLog = true
    currentBuild.description = 'first'
    currentBuild.displayName = 'one'
    seen "${currentBuild.isKeepLog()} ${currentBuild.previousBuild} ${currentBuild.nextBuild} ${currentBuild.previousFailedBuild}"
} else {
    def before = currentBuild.previousBuild
    seen "${before.number} ${before.result} ${before.description} ${before.displayName} ${before.keepLog} ${before.buildVariables}"
    seen before.getBuildCauses()
    seen currentBuild.getBuildCauses('hudson.model.Cause$UserIdCause')*.userId
    seen before.nextBuild.number
    seen "${before.projectName == currentBuild.projectName} ${before.fullDisplayName == currentBuild.fullDisplayName.replace('#2', 'one')} ${before.startTimeInMillis < currentBuild.startTimeInMillis}"
    seen "${currentBuild.previousSuccessfulBuild.number} ${currentBuild.previousNotFailedBuild.number} ${currentBuild.previousCompletedBuild.number} ${currentBuild.previousFailedBuild} ${currentBuild.previousBuildInProgress}"
    for (String what in ['result', 'description', 'displayName', 'keepLog']) {
        try {
            if (what == 'keepLog') { before.keepLog = false } else { before."$what" = 'UNSTABLE' }
            seen 'changed'
        } catch (SecurityException refused) { seen refused.message }
    }
    try { seen currentBuild.getKeepLog() } catch (Exception refused) { seen refused.class.simpleName }
}
