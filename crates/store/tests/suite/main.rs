//! The one suite of `QueueStore`, run on each database: what the port promises, as behaviours. Not for what one database alone has to show (a
//! restart of its server, its files): those tests stand beside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod crash;
mod ending;
mod fixture;
mod listing;
mod living;
mod logs;
mod model;
mod random;
mod rounds;
mod server;
mod sharing;
mod taking;
mod texts;
mod wishes;

/// Each behaviour as a test of each database.
macro_rules! on_each_database {
    (@ $database:ident: $($subject:ident $case:ident)+) => {
        mod $database {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    if let Some(database) = crate::fixture::Database::$database().await {
                        crate::$subject::$case(&database).await;
                    }
                }
            )+
        }
    };
    ($($subject:ident: $($case:ident)+;)+) => {
        on_each_database! { @ sqlite: $($($subject $case)+)+ }
        on_each_database! { @ postgres: $($($subject $case)+)+ }
    };
}

on_each_database! {
    taking:
        numbers_count_from_one_in_each_queue
        a_push_is_taken_in_whole_or_not_at_all
        a_job_is_given_with_its_attempt
        a_new_attempt_clears_what_the_one_before_left
        a_queue_that_is_not_there_has_nothing
        of_many_queues_the_first_with_something_due_gives_it
        a_job_waits_for_its_time
        a_paused_queue_gives_nothing
        a_token_is_good_for_its_attempt_only
        rules_of_a_queue_can_be_changed;
    rounds:
        a_higher_priority_comes_first
        the_oldest_of_a_tenant_comes_first
        tenants_have_their_turns_by_rounds
        a_tenant_that_comes_late_waits_one_round_at_most
        a_tenant_that_comes_again_and_again_does_not_starve_another
        jobs_that_waited_for_their_time_take_turns_too
        priorities_have_rounds_of_their_own;
    ending:
        a_success_completes_a_job
        an_error_is_tried_again_after_its_back_off
        the_last_error_fails_a_job
        a_failure_is_never_tried_again
        who_does_not_hold_a_job_cannot_end_it
        an_attempt_ends_once
        a_stale_attempt_cannot_end_the_next_one;
    living:
        a_heartbeat_tells_only_what_is_held
        a_job_that_is_silent_is_queued_again_at_the_front
        a_heartbeat_keeps_a_job
        a_job_that_stalls_too_often_fails
        a_job_that_was_to_be_cancelled_is_so_when_it_stalls
        agents_are_known_by_what_they_say;
    wishes:
        a_job_that_waits_is_cancelled_at_once
        a_job_that_runs_is_cancelled_through_its_holder
        a_success_outruns_its_cancelling
        a_job_that_ended_cannot_be_cancelled
        a_job_is_tried_as_if_it_never_was
        only_what_failed_or_was_cancelled_is_retried;
    logs:
        entries_are_numbered_from_one
        a_whole_text_takes_the_place_of_what_was
        a_delta_goes_on_or_rewrites
        what_is_no_place_for_a_delta_is_refused
        an_entry_ends_once_it_has_an_exit_code
        who_does_not_hold_a_job_writes_no_log
        an_attempt_keeps_its_log
        a_long_output_is_read_in_pieces_between_characters
        a_long_output_is_rewritten_from_where_it_differs
        reading_goes_on_from_anywhere;
    listing:
        a_queue_tells_how_much_is_in_it
        a_job_is_due_when_it_is_pushed_at_the_earliest
        jobs_are_listed_by_queue_the_latest_first
        jobs_are_listed_page_by_page
        what_ended_long_ago_is_removed
        changes_are_told;
    texts:
        any_text_is_kept_as_it_is
        nothing_that_looks_like_sql_is
        names_too_long_for_an_index_are_refused;
    sharing:
        two_instances_never_give_one_job_twice
        many_at_once_each_get_their_own_answer
        what_was_said_is_there_after_reopening
        of_many_who_end_one_attempt_one_does
        jobs_whose_time_has_come_are_given_to_many_at_once
        one_that_fails_takes_nothing_of_the_others_with_it
        instances_that_cross_each_other_do_not_wait_forever
        changes_of_another_instance_are_told;
}
