//! Measuring by turns: floor and measurement alternate, so that both see the same machine, and their medians
//! are compared. Not for what is measured.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The medians of both sides.
#[derive(Debug, PartialEq)]
pub(crate) struct Medians {
    pub(crate) floor: Duration,
    pub(crate) measured: Duration,
}

/// Runs both sides by turns, once each unmeasured to warm caches and then `rounds` times.
pub(crate) fn take(
    rounds: usize,
    mut floor: impl FnMut() -> Result<()>,
    mut measured: impl FnMut() -> Result<()>,
) -> Result<Medians> {
    floor()?;
    measured()?;
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        floors.push(time(&mut floor)?);
        ours.push(time(&mut measured)?);
    }
    Ok(Medians { floor: median(floors), measured: median(ours) })
}

fn time(work: &mut impl FnMut() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn sides_take_turns_after_one_round_to_warm_up() {
        let order = RefCell::new(String::new());
        let side = |name: char| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok(())
            }
        };
        take(2, side('f'), side('m')).unwrap();
        assert_eq!(*order.borrow(), "fmfmfm");
    }

    #[test]
    fn the_middle_one_counts() {
        let times = [5, 1, 9].map(Duration::from_millis).to_vec();
        assert_eq!(median(times), Duration::from_millis(5));
    }
}
