//! Existence, filtering, subsetting, combining.

use super::super::EvaluationError;
use super::super::equality::{contains, distinct};
use super::super::evaluate::{Scope, of_type};
use super::super::item::{Item, Items};
use super::super::operators::{boolean, order, single, truth};
use super::{Function, Invocation, Outcome, function};

pub(super) const FUNCTIONS: &[Function] = &[
    function("empty", 0..=0, |it| Ok(truth(Some(it.input.is_empty())))),
    function("exists", 0..=1, exists),
    function("all", 1..=1, all),
    function("allTrue", 0..=0, |it| quantify(it, true, true)),
    function("anyTrue", 0..=0, |it| quantify(it, true, false)),
    function("allFalse", 0..=0, |it| quantify(it, false, true)),
    function("anyFalse", 0..=0, |it| quantify(it, false, false)),
    function("subsetOf", 1..=1, |it| {
        let other = it.argument(0)?;
        subset(it, it.input, &other)
    }),
    function("supersetOf", 1..=1, |it| {
        let other = it.argument(0)?;
        subset(it, &other, it.input)
    }),
    function("count", 0..=0, |it| {
        let count = i64::try_from(it.input.len()).unwrap_or(i64::MAX);
        Ok(vec![Item::Integer(count)])
    }),
    function("distinct", 0..=0, |it| {
        it.run.spend(comparisons(it.input.len()))?;
        Ok(distinct(it.input.to_vec()))
    }),
    function("isDistinct", 0..=0, |it| {
        it.run.spend(comparisons(it.input.len()))?;
        let kept = distinct(it.input.to_vec());
        Ok(truth(Some(kept.len() == it.input.len())))
    }),
    function("where", 1..=1, filter),
    function("select", 1..=1, select),
    function("repeat", 1..=1, repeat),
    function("ofType", 1..=1, |it| {
        let name = it.arguments.first().and_then(|name| name.type_name());
        of_type(
            it.input.to_vec(),
            &name.ok_or(EvaluationError::UnknownType)?,
        )
    }),
    function("single", 0..=0, |it| {
        Ok(single(it.input)?.cloned().into_iter().collect())
    }),
    function("first", 0..=0, |it| Ok(slice(it, 0, 1))),
    function("last", 0..=0, |it| {
        Ok(it.input.last().cloned().into_iter().collect())
    }),
    function("tail", 0..=0, |it| Ok(slice(it, 1, usize::MAX))),
    function("skip", 1..=1, |it| {
        let count = it.integer(0)?.unwrap_or(0);
        Ok(slice(it, usize::try_from(count).unwrap_or(0), usize::MAX))
    }),
    function("take", 1..=1, |it| {
        let count = it.integer(0)?.unwrap_or(0);
        Ok(slice(it, 0, usize::try_from(count).unwrap_or(0)))
    }),
    function("intersect", 1..=1, |it| {
        let other = it.argument(0)?;
        it.run.spend(it.input.len().saturating_mul(other.len()))?;
        let common = it.input.iter().filter(|item| contains(&other, item));
        Ok(distinct(common.cloned().collect()))
    }),
    function("exclude", 1..=1, |it| {
        let other = it.argument(0)?;
        it.run.spend(it.input.len().saturating_mul(other.len()))?;
        let kept = it.input.iter().filter(|item| !contains(&other, item));
        Ok(kept.cloned().collect())
    }),
    function("union", 1..=1, |it| Ok(distinct(joined(it)?))),
    function("combine", 1..=1, joined),
    function("not", 0..=0, |it| {
        Ok(truth(boolean(it.input)?.map(|answer| !answer)))
    }),
    function("iif", 2..=3, iif),
    function("aggregate", 1..=2, aggregate),
    function("sort", 0..=0, sort),
];

/// What it costs to find repetitions: texts are sorted, other items compared in pairs.
fn comparisons(items: usize) -> usize {
    items.saturating_mul(items / 64 + 1)
}

fn exists<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    if it.arguments.is_empty() {
        return Ok(truth(Some(!it.input.is_empty())));
    }
    for (index, item) in it.input.iter().enumerate() {
        if it.holds_of(item, index)? {
            return Ok(truth(Some(true)));
        }
    }
    Ok(truth(Some(false)))
}

fn all<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    for (index, item) in it.input.iter().enumerate() {
        if !it.holds_of(item, index)? {
            return Ok(truth(Some(false)));
        }
    }
    Ok(truth(Some(true)))
}

/// Whether all, or any, of the items are this boolean.
fn quantify<'a>(it: &Invocation<'_, 'a>, wanted: bool, is_all: bool) -> Outcome<'a> {
    for item in it.input {
        let Some(Item::Boolean(answer)) = item.value() else {
            return Err(EvaluationError::Types);
        };
        if (answer == wanted) != is_all {
            return Ok(truth(Some(!is_all)));
        }
    }
    Ok(truth(Some(is_all)))
}

fn subset<'a>(it: &Invocation<'_, 'a>, some: &[Item<'a>], of: &[Item<'a>]) -> Outcome<'a> {
    it.run.spend(some.len().saturating_mul(of.len()))?;
    Ok(truth(Some(some.iter().all(|item| contains(of, item)))))
}

fn filter<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut kept = Vec::new();
    for (index, item) in it.input.iter().enumerate() {
        if it.holds_of(item, index)? {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

fn select<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut found = Vec::new();
    for (index, item) in it.input.iter().enumerate() {
        found.extend(it.on_item(0, item, index)?);
    }
    Ok(found)
}

/// Until nothing new is found. An element is new by its place, a value by what it is.
fn repeat<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut found: Items<'a> = Vec::new();
    let mut queue: Items<'a> = it.input.to_vec();
    while !queue.is_empty() {
        let mut next = Vec::new();
        for (index, item) in queue.iter().enumerate() {
            for reached in it.on_item(0, item, index)? {
                it.run.spend(1)?;
                let is_known = match &reached {
                    Item::Element(_) => false,
                    _ => contains(&found, &reached),
                };
                if !is_known {
                    found.push(reached.clone());
                    next.push(reached);
                }
            }
        }
        queue = next;
    }
    Ok(found)
}

fn slice<'a>(it: &Invocation<'_, 'a>, skip: usize, take: usize) -> Items<'a> {
    it.input.iter().skip(skip).take(take).cloned().collect()
}

fn joined<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut all = it.input.to_vec();
    all.extend(it.argument(0)?);
    it.run.spend(comparisons(all.len()))?;
    Ok(all)
}

/// The condition and the branches are evaluated on the input.
fn iif<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let item = single(it.input)?;
    let on_input = |index: usize| match (item, it.arguments.get(index)) {
        (_, None) => Ok(Vec::new()),
        (Some(item), Some(_)) => it.on_item(index, item, it.scope.index.unwrap_or(0)),
        (None, Some(expr)) => {
            let scope = Scope {
                this: &[],
                ..it.scope
            };
            it.run.evaluate(&scope, expr)
        }
    };
    let condition = on_input(0)?;
    let is_true = match single(&condition)?.and_then(Item::value) {
        None => false,
        Some(Item::Boolean(answer)) => answer,
        Some(_) => return Err(EvaluationError::Types),
    };
    on_input(if is_true { 1 } else { 2 })
}

fn aggregate<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut total = it.argument(1)?;
    for (index, item) in it.input.iter().enumerate() {
        let Some(expr) = it.arguments.first() else {
            break;
        };
        let scope = it.scope.of_item(item, index);
        let scope = Scope {
            total: &total,
            ..scope
        };
        let next = it.run.evaluate(&scope, expr)?;
        total = next;
    }
    Ok(total)
}

fn sort<'a>(it: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut items = it.input.to_vec();
    for pair in it.input.windows(2) {
        if let [one, two] = pair {
            order(one, two)?;
        }
    }
    items.sort_by(|one, two| {
        let order = order(one, two).ok().flatten();
        order.unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(items)
}
