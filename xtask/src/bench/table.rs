//! The table of measurements and what was promised of each. Not for measuring.

use std::fmt;
use std::time::Duration;

/// What is measured, in the unit that it is shown in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Quantity {
    Time(Duration),
    Bytes(u64),
}

impl Quantity {
    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            #[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
            Self::Bytes(bytes) => bytes as f64,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Time(time) if time.as_secs_f64() >= 10.0 => format!("{:.2} s", time.as_secs_f64()),
            Self::Time(time) => format!("{:.2} ms", time.as_secs_f64() * 1e3),
            Self::Bytes(_) => format!("{:.1} MiB", self.number() / (1024.0 * 1024.0)),
        };
        f.pad(&text)
    }
}

/// One measurement.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) measured: Option<Quantity>,
    /// What the same work costs without us, where there is such a thing.
    pub(crate) floor: Option<Quantity>,
    /// The most that was promised, where something was.
    pub(crate) limit: Option<Quantity>,
    /// Why it could not be measured.
    pub(crate) problem: Option<String>,
}

impl Row {
    /// A time against `floor * times + plus`.
    pub(crate) fn time(name: &str, measured: Duration, floor: Duration, times: f64, plus: Duration) -> Self {
        Self {
            name: name.to_owned(),
            measured: Some(Quantity::Time(measured)),
            floor: Some(Quantity::Time(floor)),
            limit: Some(Quantity::Time(floor.mul_f64(times) + plus)),
            problem: None,
        }
    }

    /// A time against a limit of its own.
    pub(crate) fn bounded(name: &str, measured: Duration, limit: Duration) -> Self {
        Self {
            name: name.to_owned(),
            measured: Some(Quantity::Time(measured)),
            floor: None,
            limit: Some(Quantity::Time(limit)),
            problem: None,
        }
    }

    /// An amount of memory against a limit.
    pub(crate) fn memory(name: &str, measured: u64, limit: u64) -> Self {
        Self {
            name: name.to_owned(),
            measured: Some(Quantity::Bytes(measured)),
            floor: None,
            limit: Some(Quantity::Bytes(limit)),
            problem: None,
        }
    }

    /// A measurement that could not be made.
    pub(crate) fn unmeasured(name: &str, problem: String) -> Self {
        Self { name: name.to_owned(), measured: None, floor: None, limit: None, problem: Some(problem) }
    }

    /// What was not measured does not hold.
    fn holds(&self) -> bool {
        match (self.measured, self.limit) {
            (Some(measured), Some(limit)) => measured.number() <= limit.number(),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    fn ratio(&self) -> Option<f64> {
        let floor = self.floor?.number();
        (floor > 0.0).then_some(self.measured?.number() / floor)
    }
}

/// All measurements of a run.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn all_hold(&self) -> bool {
        self.rows.iter().all(Row::holds)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, measured, floor) = ("name", "measured", "floor");
        write!(f, "{name:<44} {measured:>12} {floor:>12} {:>7} {:>12}  verdict", "ratio", "limit")?;
        for row in &self.rows {
            let shown =
                |quantity: Option<Quantity>| quantity.map_or_else(|| "-".to_owned(), |q| q.to_string());
            let ratio = row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let verdict = match (&row.problem, row.holds()) {
                (Some(problem), _) => format!("not measured: {problem}"),
                (None, true) => "holds".to_owned(),
                (None, false) => "BROKEN".to_owned(),
            };
            let (measured, floor, limit) = (shown(row.measured), shown(row.floor), shown(row.limit));
            write!(f, "\n{:<44} {measured:>12} {floor:>12} {ratio:>7} {limit:>12}  {verdict}", row.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_promise_holds_up_to_its_limit_and_not_past_it() {
        let row = |measured| Row::time("x", ms(measured), ms(100), 1.5, ms(20));
        assert!(row(170).holds());
        assert!(!row(171).holds());
        assert!(Row::memory("m", 64, 64).holds() && !Row::memory("m", 65, 64).holds());
        assert!(!Row::unmeasured("y", "no engine".into()).holds());
    }

    #[test]
    fn the_table_shows_ratio_limit_and_verdict() {
        let rows = vec![
            Row::time("one job", ms(12), ms(10), 1.0, ms(10)),
            Row::memory("peak memory", 70 << 20, 64 << 20),
            Row::unmeasured("docker", "no engine".into()),
        ];
        let table = Table { rows };
        let text = table.to_string();
        assert!(text.contains("12.00 ms     10.00 ms    1.20     20.00 ms  holds"), "{text}");
        assert!(text.contains("70.0 MiB            -       -     64.0 MiB  BROKEN"), "{text}");
        assert!(text.ends_with("not measured: no engine"), "{text}");
        assert!(!table.all_hold());
    }
}
