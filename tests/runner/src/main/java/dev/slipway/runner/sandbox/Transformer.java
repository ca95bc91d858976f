package dev.slipway.runner.sandbox;

import com.cloudbees.groovy.cps.CpsTransformer;
import java.util.ArrayList;
import java.util.List;
import org.codehaus.groovy.ast.expr.BinaryExpression;
import org.codehaus.groovy.ast.expr.Expression;
import org.codehaus.groovy.ast.expr.MapEntryExpression;
import org.codehaus.groovy.ast.expr.MapExpression;
import org.codehaus.groovy.ast.expr.SpreadMapExpression;
import org.codehaus.groovy.syntax.Token;
import org.codehaus.groovy.syntax.Types;

/** Compiles what may suspend. It knows [*: map] as well, which Jenkins' engine does and that of Maven Central, an older one, does not. */
public class Transformer extends CpsTransformer {
    /** The maps before, in, and behind a spread one are added up. */
    @Override
    public void visitMapExpression(MapExpression map) {
        if (map.getMapEntryExpressions().stream().noneMatch(entry -> entry.getKeyExpression() instanceof SpreadMapExpression)) {
            super.visitMapExpression(map);
            return;
        }
        Expression sum = new MapExpression();
        List<MapEntryExpression> plain = new ArrayList<>();
        for (MapEntryExpression entry : map.getMapEntryExpressions()) {
            if (entry.getKeyExpression() instanceof SpreadMapExpression) {
                sum = plus(plain.isEmpty() ? sum : plus(sum, new MapExpression(plain), map), entry.getValueExpression(), map);
                plain = new ArrayList<>();
            } else {
                plain.add(entry);
            }
        }
        visit(plain.isEmpty() ? sum : plus(sum, new MapExpression(plain), map));
    }

    private static Expression plus(Expression left, Expression right, Expression at) {
        Expression sum = new BinaryExpression(left, Token.newSymbol(Types.PLUS, at.getLineNumber(), at.getColumnNumber()), right);
        sum.setSourcePosition(at);
        return sum;
    }
}
