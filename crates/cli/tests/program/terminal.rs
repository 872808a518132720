//! What a run looks like on a terminal: a pseudo-terminal, and what a terminal makes of what is written to it.

use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{Bench, wait, wait_for};

/// A run of the program on a terminal of its own.
struct OnTerminal {
    child: Child,
    screen: Arc<Mutex<Screen>>,
    reader: JoinHandle<()>,
    _master: OwnedFd,
}

struct Screen {
    terminal: vt100::Parser,
    raw: Vec<u8>,
}

impl Screen {
    /// The rows that went out at the top, the oldest first.
    fn history(&mut self) -> String {
        let screen = self.terminal.screen_mut();
        screen.set_scrollback(usize::MAX);
        let mut rows = Vec::new();
        for back in (1..=screen.scrollback()).rev() {
            screen.set_scrollback(back);
            rows.extend(screen.rows(0, screen.size().1.get()).next());
        }
        screen.set_scrollback(0);
        rows.iter().map(|row| row.trim_end().to_owned() + "\n").collect()
    }

    /// The rows as they are seen.
    fn text(&self) -> String {
        let screen = self.terminal.screen();
        let rows = screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned() + "\n");
        rows.collect::<String>().trim_end().to_owned()
    }
}

/// Starts the program on a terminal that is `columns` wide and high enough for everything.
fn start(bench: &Bench, args: &[&str], columns: u16, environment: &[(&str, &str)]) -> OnTerminal {
    start_on(bench, args, (columns, 60), environment)
}

/// Starts the program on a terminal of that many columns and rows.
fn start_on(
    bench: &Bench,
    args: &[&str],
    (columns, rows): (u16, u16),
    environment: &[(&str, &str)],
) -> OnTerminal {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    tcsetwinsize(slave.as_fd(), Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
        .unwrap();
    let mut command = bench.command(args);
    command.env("TERM", "xterm-256color").envs(environment.iter().copied());
    let child = command.stdout(slave.try_clone().unwrap()).stderr(slave).spawn().unwrap();
    // The command holds the slave too; as long as it lives, the terminal never ends.
    drop(command);
    let size = |cells| NonZero::new(cells).expect("a terminal has some cells");
    let terminal = vt100::Parser::new(size(rows), size(columns), 1000);
    let screen = Arc::new(Mutex::new(Screen { terminal, raw: Vec::new() }));
    let mut source = File::from(master.try_clone().unwrap());
    let shown = Arc::clone(&screen);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // A terminal whose last writer is gone answers with an error.
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            let mut shown = shown.lock().unwrap();
            shown.terminal.process(&buffer[..count]);
            shown.raw.extend_from_slice(&buffer[..count]);
        }
    });
    OnTerminal { child, screen, reader, _master: master }
}

impl OnTerminal {
    fn text(&self) -> String {
        self.screen.lock().unwrap().text()
    }

    /// Waits until the screen is as described.
    #[track_caller]
    fn wait_for(&self, so: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        let came = wait_for(|| {
            text = self.text();
            so(&text)
        });
        assert!(came, "the screen is:\n{text}");
        text
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// The exit code, the screen and every byte at the end.
    fn end(mut self) -> (i32, String, String) {
        let code = wait(&mut self.child).code().unwrap();
        self.reader.join().unwrap();
        let screen = self.screen.lock().unwrap();
        (code, screen.text(), String::from_utf8_lossy(&screen.raw).into_owned())
    }
}

/// A spinner's picture is a braille pattern.
fn is_spinner(picture: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&picture)
}

/// Lines that a spinner stands before.
fn spinning(screen: &str) -> Vec<&str> {
    screen.lines().filter(|line| line.starts_with(is_spinner)).collect()
}

/// Jobs that wait until the test opens the gate, each with what it does then.
fn gated(bench: &Bench, jobs: &[(&str, &str)]) {
    let gate = bench.root().join("gate");
    let mut pipeline = "stages: [one]\n".to_owned();
    for (name, then) in jobs {
        let gate = gate.display();
        pipeline += &format!(
            "{name}: {{stage: one, script: ['echo waiting; until test -e {gate}; do sleep 0.02; done', '{then}']}}\n"
        );
    }
    bench.file(".jobwright.yaml", pipeline);
}

fn open_gate(bench: &Bench) {
    std::fs::write(bench.root().join("gate"), "").unwrap();
}

const PARALLEL: [&str; 4] = ["run", "--parallel", "--limit", "4"];

// covers: local-ci 112
#[test]
fn jobs_that_run_side_by_side_are_a_board_that_is_gone_at_the_end() {
    let bench = Bench::new();
    gated(&bench, &[("left", "true"), ("right", "true")]);
    let run = start(&bench, &PARALLEL, 100, &[]);
    let board = run.wait_for(|screen| spinning(screen).len() == 2 && screen.contains(" 1s "));
    assert!(
        spinning(&board)[0].ends_with("left (one)") && spinning(&board)[1].ends_with("right (one)"),
        "{board}"
    );
    assert!(!board.contains("waiting"), "output of jobs side by side is not shown as it comes: {board}");
    open_gate(&bench);
    let (code, screen, _) = run.end();
    assert_eq!((code, spinning(&screen).len()), (0, 0), "{screen}");
    assert!(
        screen.contains("✓ left  ") && screen.contains("✓ right  ") && screen.contains("2 passed"),
        "{screen}"
    );
}

#[test]
fn the_only_job_streams_its_output_whatever_the_mode() {
    for args in [&["run"][..], &PARALLEL] {
        let bench = Bench::new();
        gated(&bench, &[("only", "echo and on")]);
        let run = start(&bench, args, 100, &[]);
        let screen = run.wait_for(|screen| screen.lines().any(|line| line == "waiting"));
        assert_eq!(spinning(&screen).len(), 0, "{screen}");
        open_gate(&bench);
        let (code, screen, _) = run.end();
        assert_eq!(code, 0);
        assert!(screen.lines().any(|line| line == "and on"), "{screen}");
    }
}

#[test]
fn of_a_job_that_fails_on_the_board_the_last_lines_are_shown() {
    let bench = Bench::new();
    gated(&bench, &[("bad", "seq 100; printf \"10%%\\r100%%\"; exit 3"), ("good", "true")]);
    let run = start(&bench, &PARALLEL, 100, &[]);
    open_gate(&bench);
    let (code, screen, _) = run.end();
    assert_eq!(code, 1);
    assert!(screen.contains("✗ bad  ") && screen.contains("  │ 99\n  │ 100\n  │ 100%\n"), "{screen}");
    assert!(!screen.contains("│ 50\n") && screen.contains("1 passed, 1 failed"), "{screen}");
}

#[test]
fn a_line_of_the_board_is_cut_to_the_terminals_width() {
    let bench = Bench::new();
    let (one, two) = ("1".repeat(90), "2".repeat(90));
    gated(&bench, &[(&format!("a{one}"), "true"), (&format!("b{two}"), "true")]);
    let run = start(&bench, &PARALLEL, 40, &[]);
    let board = run.wait_for(|screen| spinning(screen).len() == 2 && screen.contains(" 1s "));
    let lines: Vec<_> = board.lines().skip_while(|line| !line.starts_with(is_spinner)).collect();
    assert_eq!(lines.len(), 2, "each has one line: {board}");
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{board}");
    open_gate(&bench);
    let (code, screen, _) = run.end();
    assert_eq!((code, spinning(&screen).len()), (0, 0), "{screen}");
}

#[test]
fn a_board_that_is_higher_than_the_terminal_leaves_no_trace() {
    let bench = Bench::new();
    let names: Vec<_> = (0..30).map(|number| format!("job{number}.")).collect();
    gated(&bench, &names.iter().map(|name| (name.as_str(), "true")).collect::<Vec<_>>());
    let run = start_on(&bench, &["run", "--parallel", "--limit", "30"], (80, 10), &[]);
    run.wait_for(|screen| spinning(screen).len() > 5 && screen.contains(" 1s "));
    open_gate(&bench);
    let screen = Arc::clone(&run.screen);
    let (code, last, _) = run.end();
    assert_eq!(code, 0);
    let all = screen.lock().unwrap().history() + &last;
    assert_eq!(spinning(&all), [""; 0], "{all}");
    for name in names {
        assert_eq!(all.matches(&format!("✓ {name}")).count(), 1, "{name}: {all}");
    }
}

#[test]
fn what_jobwright_says_itself_does_not_tear_the_board() {
    let bench = Bench::new();
    gated(&bench, &[("left", "true"), ("right", "true")]);
    let run = start(&bench, &PARALLEL, 100, &[]);
    run.wait_for(|screen| spinning(screen).len() == 2);
    run.interrupt();
    let (code, screen, _) = run.end();
    assert_eq!(code, 130, "{screen}");
    assert_eq!(spinning(&screen).len(), 0, "{screen}");
    let lines: Vec<_> = screen.lines().collect();
    let notice = "ending the run and cleaning up; once more leaves at once";
    assert_eq!(lines.iter().filter(|line| **line == notice).count(), 1, "{screen}");
    assert!(lines[0].starts_with("Config file loaded from"), "{screen}");
    assert!(screen.contains("2 cancelled"), "{screen}");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_terminal_has_colours_unless_they_are_not_wanted() {
    for (environment, args, coloured) in [
        (&[][..], &PARALLEL[..], true),
        (&[("NO_COLOR", "1")], &PARALLEL, false),
        (&[], &["run", "--parallel", "--color", "never"], false),
        (&[("TERM", "dumb")], &["run"], false),
    ] {
        let bench = Bench::new();
        gated(&bench, &[("bad", "exit 3"), ("good", "true")]);
        let run = start(&bench, args, 100, environment);
        open_gate(&bench);
        let (code, _, raw) = run.end();
        assert_eq!(code, 1);
        // What begins a colour or a face; moving the cursor is another matter.
        let painted = raw
            .split("\x1b[")
            .skip(1)
            .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'));
        assert_eq!(painted, coloured, "{environment:?} {args:?}: {raw:?}");
    }
}

#[test]
fn runs_that_follow_each_other_share_the_board() {
    let bench = Bench::new();
    gated(&bench, &[("left", "true"), ("right", "true")]);
    let run = start(&bench, &[&PARALLEL[..], &["--watch"]].concat(), 100, &[]);
    run.wait_for(|screen| spinning(screen).len() == 2);
    // Said while a board is shown: it goes above that.
    bench.file("first", "1");
    run.wait_for(|screen| screen.contains("[watch] first changed: running again after this run"));
    open_gate(&bench);
    let screen = run.wait_for(|screen| screen.contains("[watch] waiting for changes"));
    assert_eq!((spinning(&screen).len(), screen.matches("✓ left").count()), (0, 2), "{screen}");
    std::fs::remove_file(bench.root().join("gate")).unwrap();
    bench.file("second", "1");
    let screen = run.wait_for(|screen| spinning(screen).len() == 2);
    assert!(screen.contains("[watch] second changed: running again"), "{screen}");
    open_gate(&bench);
    let screen = run.wait_for(|screen| screen.matches("[watch] waiting for changes").count() == 2);
    assert_eq!((spinning(&screen).len(), screen.matches("✓ right").count()), (0, 3), "{screen}");
    run.interrupt();
    let (code, screen, _) = run.end();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_failure_that_is_allowed_is_not_red_and_its_output_is_shown() {
    let bench = Bench::new();
    bench.file(
        ".jobwright.yaml",
        "stages: [one]\nlint: {stage: one, allow_failure: true, script: [echo why it failed, exit 3]}\n\
         good: {stage: one, script: ['true']}\n",
    );
    let (code, screen, raw) = start(&bench, &PARALLEL, 100, &[]).end();
    assert_eq!(code, 0, "{screen}");
    assert!(
        screen.contains("! lint  ") && screen.contains("may fail: exited with non-zero status 3"),
        "{screen}"
    );
    assert!(screen.contains("│ why it failed"), "{screen}");
    assert!(raw.contains("\x1b[33m! lint") && !raw.contains("\x1b[31m"), "{raw:?}");
}
