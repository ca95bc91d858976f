package dev.slipway.runner.sandbox;

import com.cloudbees.groovy.cps.sandbox.Untrusted;
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer;
import org.codehaus.groovy.ast.ClassNode;
import org.codehaus.groovy.ast.FieldNode;
import org.codehaus.groovy.ast.MethodNode;
import org.codehaus.groovy.ast.expr.CastExpression;
import org.codehaus.groovy.ast.expr.Expression;
import org.codehaus.groovy.ast.expr.VariableExpression;
import org.codehaus.groovy.ast.stmt.Statement;
import org.codehaus.groovy.classgen.GeneratorContext;
import org.codehaus.groovy.control.SourceUnit;
import org.kohsuke.groovy.sandbox.SandboxTransformer;

/**
 * Compiles what is not trusted: every call is checked, in what suspends by the
 * engine's tag, in the rest (@NonCPS, constructors, fields) by the sandbox's
 * own transformer. groovy-cps has such a class; it needs a groovy-sandbox that
 * Maven Central does not have.
 */
public final class UntrustedTransformer extends Transformer {
    private final SandboxTransformer sandbox = new SandboxTransformer();
    private ClassCodeExpressionTransformer visitor;

    @Override
    public void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        visitor = sandbox.createVisitor(source, type);
        super.call(source, context, type);
    }

    @Override
    protected void processConstructors(ClassNode type) {
        sandbox.processConstructors(visitor, type);
    }

    @Override
    protected void visitNontransformedMethod(MethodNode method) {
        visitor.visitMethod(method);
    }

    @Override
    protected void visitNontransformedField(FieldNode field) {
        visitor.visitField(field);
    }

    @Override
    protected void visitNontransformedStatement(Statement statement) {
        statement.visit(visitor);
    }

    @Override
    public void visitMethod(MethodNode method) {
        if (method.getName().equals("finalize") && method.getParameters().length == 0) {
            throw new SecurityException("Object.finalize() is not permitted in sandboxed code: " + method.getDeclaringClass().getName());
        }
        super.visitMethod(method);
    }

    /** A cast may construct an object: the sandbox is asked. */
    @Override
    public void visitCastExpression(CastExpression cast) {
        makeNode("sandboxCastOrCoerce", () -> {
            loc(cast);
            visit(cast.getExpression());
            literal(cast.getType());
            literal(cast.isIgnoringAutoboxing());
            literal(cast.isCoerce());
            literal(cast.isStrict());
        });
    }

    @Override
    protected void visitAssignmentOrCast(VariableExpression variable, Expression value) {
        if (!SandboxTransformer.mightBePositionalArgumentConstructor(variable)) {
            super.visitAssignmentOrCast(variable, value);
            return;
        }
        makeNode("sandboxCastOrCoerce", () -> {
            loc(value);
            visit(value);
            literal(variable.getType());
            literal(false);
            literal(false);
            literal(false);
        });
    }

    @Override
    protected Class<?> getTrustTag() {
        return Untrusted.class;
    }
}
