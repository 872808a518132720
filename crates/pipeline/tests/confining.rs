//! A loader that is confined to a directory reads nothing else, whatever a path or a link says, and does not tell what is there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jobwright_pipeline::{LoadError, Loader, Pipeline};
use tempfile::TempDir;

/// What no message may show.
const SECRET: &str = "hunter2: [";

/// A project beside what is none of its business.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(place.project().join("ci")).unwrap();
        std::fs::write(place.0.path().join("secret.yaml"), SECRET).unwrap();
        place.write("ci/a.yaml", "a: {stage: t, script: ls}\n");
        place
    }

    fn project(&self) -> PathBuf {
        self.0.path().join("project")
    }

    fn outside(&self) -> PathBuf {
        self.0.path().join("secret.yaml")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.project().join(name), text).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.project().join(name)).unwrap();
    }

    /// The pipeline that includes `included`, loaded by a loader that must stay in the project.
    fn including(&self, included: impl AsRef<Path>) -> Result<Pipeline, LoadError> {
        let included = included.as_ref().display();
        self.write(
            "p.yaml",
            &format!("stages: [t]\ninclude: ['{included}']\nmain: {{stage: t, script: ls}}\n"),
        );
        Loader::new().confined_to(self.project()).load(self.project().join("p.yaml"))
    }

    #[track_caller]
    fn refused(&self, included: impl AsRef<Path>) -> String {
        let included = included.as_ref();
        let error = self.including(included).expect_err(&format!("{} was read", included.display()));
        let shown = error.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        shown
    }
}

#[test]
fn what_lies_within_is_included_by_whatever_way_leads_there() {
    let place = Place::new();
    place.link("ci", "folder");
    place.link("../ci/./a.yaml", "ci/relative.yaml");
    place.link(place.project().join("ci/a.yaml"), "absolute.yaml");
    for way in ["ci/a.yaml", "folder/a.yaml", "ci/../ci/a.yaml", "ci/relative.yaml", "absolute.yaml"] {
        let pipeline = place.including(way).unwrap_or_else(|error| panic!("{way}: {error}"));
        assert!(pipeline.job("a").is_some(), "{way}");
    }
    place.including(place.project().join("ci/a.yaml")).unwrap();
}

#[test]
fn nothing_outside_is_read_by_any_way() {
    let place = Place::new();
    place.link("../secret.yaml", "relative.yaml");
    place.link(place.outside(), "absolute.yaml");
    place.link("..", "up");
    place.link("up/secret.yaml", "twice.yaml");
    for way in [
        "../secret.yaml",
        "ci/../../secret.yaml",
        "relative.yaml",
        "absolute.yaml",
        "up/secret.yaml",
        "twice.yaml",
    ] {
        let shown = place.refused(way);
        assert!(shown.contains("outside of the directory"), "{way}: {shown}");
    }
    place.refused(place.outside());
}

#[test]
fn whether_something_is_there_is_not_told_of_what_lies_outside() {
    let place = Place::new();
    place.link("../secret.yaml", "here.yaml");
    place.link("../nothing.yaml", "gone.yaml");
    assert_eq!(place.refused("here.yaml").replace("here.yaml", "gone.yaml"), place.refused("gone.yaml"));
    let within = place.refused("nothing.yaml");
    assert!(within.contains("No such file"), "{within}");
}

#[test]
fn the_file_itself_must_lie_within_too() {
    let place = Place::new();
    place.link(place.outside(), ".jobwright.yaml");
    let loader = Loader::new().confined_to(place.project());
    for path in
        [place.outside(), place.project().join(".jobwright.yaml"), place.project().join("../secret.yaml")]
    {
        let error = loader.load(&path).unwrap_err();
        assert!(matches!(error, LoadError::Outside { .. }), "{}: {error}", path.display());
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn bytes_include_only_what_lies_within() {
    let place = Place::new();
    let loader = Loader::new().base(place.project()).confined_to(place.project());
    let file =
        |included: &str| format!("stages: [t]\ninclude: [{included}]\nmain: {{stage: t, script: ls}}\n");
    loader.parse("p.yaml", file("ci/a.yaml").as_bytes()).unwrap();
    let report = loader.parse("p.yaml", file("../secret.yaml").as_bytes()).unwrap_err();
    assert!(report.to_string().contains("outside of the directory"), "{report}");
}

#[test]
fn a_circle_of_links_a_pipe_and_a_folder_are_no_files() {
    let place = Place::new();
    place.link("loop.yaml", "loop.yaml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.project().join("pipe.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    for (name, why) in [
        ("loop.yaml", "symbolic links"),
        ("pipe.yaml", "not a regular file"),
        ("ci", "not a regular file"),
        (".", "not a regular file"),
        ("ci/a.yaml/b.yaml", "Not a directory"),
    ] {
        let shown = place.refused(name);
        assert!(shown.contains(why), "{name}: {shown}");
    }
}

#[test]
fn a_file_that_is_included_by_two_ways_is_one_and_its_circle_is_seen() {
    let place = Place::new();
    place.link("ci", "folder");
    place.write("ci/a.yaml", "include: ../folder/a.yaml\na: {stage: t, script: ls}\n");
    let shown = place.refused("ci/a.yaml");
    assert!(shown.contains("goes round in a circle"), "{shown}");
}
