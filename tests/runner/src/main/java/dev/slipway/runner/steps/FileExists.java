package dev.slipway.runner.steps;
/** fileExists file */
public final class FileExists extends OnNode {
    private static final long serialVersionUID = 1;

    @Override
    protected void begin() throws Exception {
        capture("test -e " + quoted(arguments.required("file")), new byte[0], (code, out) -> success(code == 0));
    }
}
