//! Label selectors.

use journal_schema::facts::{NodeOperator, NodeRequirement, Selector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Notes, meta};

/// A label selector; an operator that is not known is named in the notes.
pub(crate) fn selector(notes: &mut Notes, field: &str, selector: &LabelSelector) -> Selector {
    let labels = meta::pairs(notes, field, selector.match_labels.as_ref());
    let mut expressions = Vec::new();
    for expression in selector.match_expressions.as_deref().unwrap_or_default() {
        let operator = match expression.operator.as_str() {
            "In" => NodeOperator::In,
            "NotIn" => NodeOperator::NotIn,
            "Exists" => NodeOperator::Exists,
            "DoesNotExist" => NodeOperator::DoesNotExist,
            _ => {
                notes.unknown(format!("{field}: selector operator"));
                continue;
            }
        };
        expressions.push(NodeRequirement {
            key: notes.name(field, &expression.key),
            operator,
            values: notes.names(field, expression.values.as_deref().unwrap_or_default()),
        });
    }
    Selector { labels, expressions: notes.few(field, expressions) }
}

/// Adds "the label `key` is (not) `value`", as the API server does for `matchLabelKeys`, unless it
/// stands there already.
pub(crate) fn add_match_key(
    notes: &mut Notes,
    field: &str,
    selector: &mut Selector,
    key: &str,
    value: &str,
    operator: NodeOperator,
) {
    let requirement = NodeRequirement {
        key: notes.name(field, key),
        operator,
        values: notes.names(field, std::slice::from_ref(&value.to_owned())),
    };
    if selector.expressions.contains(&requirement) {
        return;
    }
    let mut expressions = std::mem::take(&mut selector.expressions).into_vec();
    expressions.push(requirement);
    selector.expressions = notes.few(field, expressions);
}
