//! The repository of a job into its workspace: the steps of git that the original runs, argument by argument (sourcegraph.md 4.5). No secret is in any of
//! them: git fetches through the job's proxy.

use std::path::Path;

use jobwright_queue::Payload;

/// The variables that git gets on top of a step's own.
pub(crate) const ENVIRONMENT: [(&str, &str); 2] =
    [("GIT_TERMINAL_PROMPT", "0"), ("GIT_LFS_SKIP_SMUDGE", "1")];

/// The steps, as keys and arguments, for the directory `into`, with what git fetches from at `url`.
pub(crate) fn steps(payload: &Payload, into: &Path, url: &str) -> Vec<(&'static str, Vec<String>)> {
    let into = into.to_string_lossy();
    let git = |args: &[&str]| -> Vec<String> {
        ["git", "-C", &into].iter().chain(args).map(|word| (*word).to_owned()).collect()
    };
    let Payload { repository_name, commit, fetch_tags, shallow_clone, sparse_checkout, .. } = payload;
    let is_sparse = !sparse_checkout.is_empty();

    let mut fetch = vec!["-c", "protocol.version=2", "fetch", "--progress", "--no-recurse-submodules"];
    if *fetch_tags {
        fetch.push("--tags");
    }
    if *shallow_clone {
        if !fetch_tags {
            fetch.push("--no-tags");
        }
        fetch.push("--depth=1");
    }
    if is_sparse {
        fetch.push("--filter=blob:none");
    }
    fetch.extend(["origin", commit]);

    let mut steps = vec![
        ("setup.git.init", git(&["init"])),
        ("setup.git.add-remote", git(&["remote", "add", "origin", url])),
        ("setup.git.disable-gc", git(&["config", "--local", "gc.auto", "0"])),
        ("setup.git.fetch", git(&fetch)),
    ];
    if is_sparse {
        let patterns = sparse_checkout.iter().map(String::as_str);
        let set: Vec<&str> =
            ["sparse-checkout", "set", "--no-cone", "--"].into_iter().chain(patterns).collect();
        steps.push((
            "setup.git.sparse-checkout-config",
            git(&["config", "--local", "core.sparseCheckout", "1"]),
        ));
        steps.push(("setup.git.sparse-checkout-set", git(&set)));
    }
    let protocol: &[&str] = if is_sparse { &["-c", "protocol.version=2"] } else { &[] };
    let checkout: Vec<&str> =
        protocol.iter().copied().chain(["checkout", "--progress", "--force", commit]).collect();
    steps.push(("setup.git.checkout", git(&checkout)));
    // What indexes a repository wants to know its name.
    steps.push(("setup.git.set-remote", git(&["remote", "set-url", "origin", repository_name])));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: impl FnOnce(&mut Payload)) -> Vec<String> {
        let mut payload = Payload {
            repository_name: "github.com/a/b".to_owned(),
            commit: "c0ffee".to_owned(),
            ..Payload::default()
        };
        change(&mut payload);
        let steps = steps(&payload, Path::new("/w"), "http://127.0.0.1:1/github.com/a/b");
        steps.into_iter().map(|(key, argv)| format!("{key}: {}", argv.join(" "))).collect()
    }

    const FIRST: [&str; 3] = [
        "setup.git.init: git -C /w init",
        "setup.git.add-remote: git -C /w remote add origin http://127.0.0.1:1/github.com/a/b",
        "setup.git.disable-gc: git -C /w config --local gc.auto 0",
    ];
    const LAST: &str = "setup.git.set-remote: git -C /w remote set-url origin github.com/a/b";

    // covers: sourcegraph 60
    #[test]
    fn git_is_told_what_the_original_tells_it() {
        let fetch = |options: &str| {
            format!(
                "setup.git.fetch: git -C /w -c protocol.version=2 fetch --progress --no-recurse-submodules{options} origin c0ffee"
            )
        };
        let plain = "setup.git.checkout: git -C /w checkout --progress --force c0ffee".to_owned();
        for (tags, shallow, options) in [
            (false, false, ""),
            (true, false, " --tags"),
            (false, true, " --no-tags --depth=1"),
            (true, true, " --tags --depth=1"),
        ] {
            let told = told(|payload| (payload.fetch_tags, payload.shallow_clone) = (tags, shallow));
            let expected: Vec<String> = FIRST
                .map(str::to_owned)
                .into_iter()
                .chain([fetch(options), plain.clone(), LAST.to_owned()])
                .collect();
            assert_eq!(told, expected);
        }
        let sparse = told(|payload| {
            payload.shallow_clone = true;
            payload.sparse_checkout = vec!["/docs/*".to_owned(), "!/x".to_owned()];
        });
        assert_eq!(
            sparse[3..],
            [
                fetch(" --no-tags --depth=1 --filter=blob:none"),
                "setup.git.sparse-checkout-config: git -C /w config --local core.sparseCheckout 1".to_owned(),
                "setup.git.sparse-checkout-set: git -C /w sparse-checkout set --no-cone -- /docs/* !/x"
                    .to_owned(),
                "setup.git.checkout: git -C /w -c protocol.version=2 checkout --progress --force c0ffee"
                    .to_owned(),
                LAST.to_owned(),
            ]
        );
    }
}
