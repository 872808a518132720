//! Which jobs of a queue are listed, as the query says it. A state may be said several times, which a struct cannot read.

use std::fmt::Display;

use jobwright_model::{JobRef, QueueName, QueuedState};
use jobwright_store::Filter;

use crate::refusal::Refusal;

/// How many jobs a page has when nobody says.
const PAGE: usize = 100;
/// The most.
const LARGEST_PAGE: usize = 1000;

/// What the names and values of a query ask for.
pub(super) fn filter(queue: QueueName, query: Vec<(String, String)>) -> Result<Filter, Refusal> {
    let mut filter = Filter { limit: PAGE, ..Filter::default() };
    let mut said = Vec::new();
    for (name, value) in query {
        if name != "state" && said.contains(&name) {
            return Err(wrong(&name, &"it is said twice"));
        }
        match name.as_str() {
            "state" => filter.states.extend(states(&value)?),
            "tenant" => filter.tenant = Some(value),
            "limit" => filter.limit = limit(&value)?,
            "after" => filter.after = Some(JobRef::new(queue.clone(), number(&value)?)),
            _ => return Err(wrong(&name, &"there is no such key; there may be state, tenant, limit, after")),
        }
        said.push(name);
    }
    filter.queue = Some(queue);
    Ok(filter)
}

fn wrong(name: &str, problem: &dyn Display) -> Refusal {
    let name: String = name.chars().take(64).collect();
    Refusal::bad("invalid_query", format!("the query is wrong: {name}: {problem}"))
}

fn states(text: &str) -> Result<Vec<QueuedState>, Refusal> {
    let state = |word: &str| {
        let known = || QueuedState::ALL.map(QueuedState::as_str).join(", ");
        QueuedState::from_word(word)
            .ok_or_else(|| wrong("state", &format_args!("{word:?} is none; there are {}", known())))
    };
    text.split(',').map(str::trim).map(state).collect()
}

fn limit(text: &str) -> Result<usize, Refusal> {
    let limit = text.parse::<usize>().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    limit.ok_or_else(|| wrong("limit", &format_args!("{text:?} is not a number from 1 to {LARGEST_PAGE}")))
}

fn number(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| {
        wrong("after", &format_args!("{text:?} is not the number of a job, such as next of the page before"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Filter, Refusal> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        filter(QueueName::new("builds").unwrap(), query)
    }

    #[test]
    fn states_are_said_together_or_one_by_one() {
        let query = [
            ("state", "queued, failed"),
            ("state", "errored"),
            ("limit", "7"),
            ("tenant", ""),
            ("after", "9"),
        ];
        let filter = read(&query).unwrap();
        assert_eq!(filter.states, [QueuedState::Queued, QueuedState::Failed, QueuedState::Errored]);
        assert_eq!((filter.limit, filter.tenant.as_deref()), (7, Some("")));
        assert_eq!(filter.after.unwrap().to_string(), "9-builds");
        assert_eq!(read(&[]).unwrap().limit, PAGE);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        for (query, expected) in [
            ([("state", "lost")], "state: \"lost\" is none; there are queued, processing"),
            ([("state", "")], "state: \"\" is none"),
            ([("limit", "0")], "limit: \"0\" is not a number from 1 to 1000"),
            ([("limit", "1001")], "limit: "),
            ([("after", "7-builds")], "after: "),
            ([("order", "x")], "order: there is no such key"),
        ] {
            let told = read(&query).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
        assert!(read(&[("limit", "1"), ("limit", "2")]).unwrap_err().to_string().contains("twice"));
    }
}
