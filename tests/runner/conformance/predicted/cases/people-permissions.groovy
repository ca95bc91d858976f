// Who may answer: a name in any case of letters, a group, an administrator; who may not is refused, and nothing is said.
// play: until "=> asks" ; as eve input first proceed ; as mallory input first proceed ; as dave input first proceed ; as BOB input first proceed ; until "=> second" ; as mallory input second abort ; as eve input second proceed ; until "=> third" ; as carol input third proceed ; as admin input third proceed ; until "=> fourth" ; as eve stop ; as mallory input fourth abort ; as carol input fourth abort
@Library('conformance') _
seen 'asks'
seen input(id: 'first', message: 'First?', submitter: ' bob , nobody', submitterParameter: 'who')
seen 'second'
seen input(id: 'second', message: 'Second?', submitter: 'authenticated', submitterParameter: 'who')
seen 'third'
seen input(id: 'third', message: 'Third?', submitter: 'nobody', submitterParameter: 'who')
seen 'fourth'
try { input(id: 'fourth', message: 'Fourth?', submitter: 'nobody') } catch (Throwable caught) { seen caught.class.simpleName; throw caught }
