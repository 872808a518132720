//! The promises, one case each, and who runs them.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jobwright_executor::Executor;
use tokio::time::timeout;

use crate::deaths::*;
use crate::lives::*;
use crate::output::*;
use crate::requests::*;
use crate::site::{Site, World};
use crate::visits::*;

type Case = (&'static str, for<'w> fn(&'w World) -> BoxFuture<'w, ()>);

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), (|world| Box::pin($name(world))) as for<'w> fn(&'w World) -> BoxFuture<'w, ()>)),*]
    };
}

fn all() -> Vec<Case> {
    cases![
        an_execution_runs_to_its_end_with_its_output_and_exit_code,
        one_that_fails_keeps_its_exit_code_and_its_output,
        an_id_is_given_once,
        of_many_who_start_one_id_one_wins,
        what_nobody_knows_is_not_found,
        waiting_for_one_that_ended_is_an_error_with_its_result,
        a_cancelled_one_ends_and_failed_everywhere,
        cancelling_one_that_ended_is_an_error,
        statuses_follow_each_other,
        a_status_that_is_not_reached_is_an_error_in_time,
        one_that_is_paused_stands_still_until_it_is_resumed,
        logs_are_read_while_it_runs_and_after_it,
        logs_from_now_on_leave_out_what_was_before,
        logs_from_a_byte_on_leave_out_what_is_before_it,
        one_that_is_removed_when_it_has_ended_is_told_to_who_waits_elsewhere,
        two_that_run_do_not_share_a_results_directory,
        an_old_one_leaves_the_logs_of_a_newer_one_alone,
        a_reader_that_leaves_holds_nothing_up,
        results_lie_in_their_directory_while_it_runs,
        a_command_runs_in_it,
        what_it_uses_is_told,
        it_is_listed_and_described,
        a_removed_one_is_forgotten_and_its_id_is_free,
        removing_one_that_runs_ends_it,
        cleaning_up_removes_all_of_them,
        what_cannot_be_started_is_a_result,
        one_that_takes_too_long_is_ended,
        a_secret_is_nowhere_in_its_output,
        provision_scripts_run_first_and_in_order,
        provision_scripts_run_where_the_command_does,
        a_provision_script_that_fails_ends_it,
        a_bad_request_makes_nothing,
        one_whose_owner_died_is_taken_over,
        one_whose_results_directory_is_gone_is_taken_over_all_the_same,
        what_cannot_be_read_is_not_listed_and_can_be_removed,
        what_another_version_wrote_is_not_forgotten,
        one_that_was_only_about_to_be_paused_can_be_resumed,
        one_that_was_paused_when_its_owner_died_stays_so,
        what_ended_while_nobody_owned_it_has_its_true_result,
        what_ended_while_nobody_owned_it_cannot_be_ended_otherwise,
        a_cancel_that_came_while_nobody_owned_it_is_honoured,
        logs_go_when_their_time_is_over,
        one_that_is_there_for_a_visit_ends_with_it_and_as_it_did,
        somebody_goes_into_one_that_runs_and_it_goes_on,
        one_whose_visit_died_with_its_owner_is_ended_by_who_comes_next,
        what_a_dead_owner_left_is_given_up_and_what_a_living_one_has_is_not,
        one_who_stops_waiting_ends_nothing,
        logs_of_one_that_is_about_to_start_are_waited_for,
        memory_beyond_its_limit_ends_it_with_a_cause_of_its_own,
        parts_of_processors_are_taken_or_refused,
        a_signal_from_elsewhere_is_told,
        volumes_are_there_as_they_were_asked_for,
        a_key_lies_where_it_is_looked_for,
    ]
    .into()
}

/// Every case on `site`, each in a world of its own, after which nothing is left.
pub(crate) async fn run(site: Option<Site>) {
    let Some(site) = site else { return };
    let filter = std::env::var("JOBWRIGHT_EXECUTIONS").unwrap_or_default();
    let words: Vec<&str> = filter.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut failed = Vec::new();
    for (case, check) in all() {
        if !words.is_empty() && !words.iter().any(|word| case.contains(word)) {
            continue;
        }
        let site = site.clone();
        let checked = tokio::spawn(async move {
            let world = World::open(&site).await;
            timeout(Duration::from_secs(90), check(&world)).await.expect("it is done in time");
            world.executor.cleanup().await.unwrap();
            assert_eq!(world.leftovers().await, [""; 0], "left behind");
        });
        if let Err(error) = checked.await {
            failed.push(format!("{case}: {error}"));
        }
    }
    assert!(failed.is_empty(), "{} failed on {}:\n{}", failed.len(), site.name(), failed.join("\n"));
}
