//! Running a command beside what an execution runs. It is carried to its end like all that changes something, but unlike the rest of that
//! it may take as long as it likes: it has a place among the requests that wait, and when the server ends, its caller is told that it has
//! begun and that nobody here knows how it ends.

use std::future::Future;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jobwright_model::{ExecCommand, ExecOutput};
use tokio::time::sleep;

use crate::api::Api;
use crate::body::JsonBody;
use crate::extract::{Asked, Id, Nothing};
use crate::refusal::Refusal;
use crate::schema;

/// The most bytes that each of the two texts may have as JSON. What an executor keeps of a text (16 MiB) fits, with half of its bytes
/// such that JSON writes them as two; zeros, of which JSON makes six, and what is not UTF-8, of which a text makes three, are cut. Two of them fit
/// into what a client of ours reads (64 MiB).
const MOST: usize = 24 << 20;

/// Runs a command in an execution, to its end. It goes on when the one who asked hangs up.
#[utoipa::path(post, path = "/api/v1/executions/{id}/exec", tag = "executions", params(schema::PathId), request_body = schema::ExecCommand, responses(
    (status = 200, description = "What came of it.", body = schema::ExecOutput),
    (status = "default", description = "An error: `not_found`, `already_concluded` (with `result`), `wrong_status`, `invalid`, `unsupported`, `too_many_waiting`, `end_unknown`, when the server ended first: it was begun.", body = schema::ErrorAnswer),
))]
pub(crate) async fn exec(
    State(api): State<Api>,
    Id(id): Id,
    Asked(Nothing {}): Asked<Nothing>,
    JsonBody(command): JsonBody<ExecCommand>,
) -> Result<Json<ExecOutput>, Refusal> {
    if api.closing.is_cancelled() {
        return Err(Refusal::shutting_down());
    }
    let (place, over) = (api.waits.take()?, over(&api));
    let output = api.carry(|executor| async move {
        let _place = place;
        tokio::select! {
            output = executor.exec(&id, &command.argv) => output.map(Some),
            () = over => Ok(None),
        }
    });
    output.await?.map(|output| Json(bounded(output))).ok_or_else(end_unknown)
}

/// Returns when the server is to end and half of the grace is over. The other half is for saying so.
fn over(api: &Api) -> impl Future<Output = ()> + Send + use<> {
    let (closing, time) = (api.closing.clone(), api.grace / 2);
    async move {
        closing.cancelled().await;
        sleep(time).await;
    }
}

/// No program repeats a 500 by itself, as many do a 503.
fn end_unknown() -> Refusal {
    let message = "the server is shutting down; the command was begun and may go on, and how it ends is not known here: \
                   look at what it has done before it is run again";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "end_unknown", message)
}

/// The same within what is answered.
fn bounded(mut output: ExecOutput) -> ExecOutput {
    for text in [&mut output.stdout, &mut output.stderr] {
        output.left_out += cut(text, MOST);
    }
    output
}

/// Cuts a text so that JSON makes no more than `most` bytes of it, and says how many are left out.
fn cut(text: &mut String, most: usize) -> u64 {
    let mut written = 0;
    let end = text.char_indices().find_map(|(place, character)| {
        written += written_length(character);
        (written > most).then_some(place)
    });
    let Some(end) = end else { return 0 };
    let left_out = text.len() - end;
    text.truncate(end);
    text.shrink_to_fit();
    left_out as u64
}

/// How many bytes `serde_json` writes a character with.
fn written_length(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_as_long_as_json_writes_it() {
        for character in ('\0'..='\u{ff}').chain(['\u{2028}', '\u{fffd}', '\u{1f600}']) {
            let written = serde_json::to_string(&character).unwrap();
            assert_eq!(written_length(character) + 2, written.len(), "{character:?}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_says_how_much_is_left_out() {
        for (most, kept, left_out) in [
            (100, "a\0\u{fc}b", 0),
            (10, "a\0\u{fc}b", 0),
            (9, "a\0\u{fc}", 1),
            (8, "a\0", 3),
            (6, "a", 4),
            (0, "", 5),
        ] {
            let mut text = "a\0\u{fc}b".to_owned();
            assert_eq!((cut(&mut text, most), text.as_str()), (left_out, kept), "{most}");
        }
    }
}
