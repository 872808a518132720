//! Measures how fast text goes through a `MaskStream`: `cargo run --release -p jobwright-redact --example throughput`.
//!
//! Not a test: it prints figures, and fails on nothing.

use std::time::Instant;

use jobwright_redact::{MaskStream, Masker};

const MIB: usize = 1 << 20;
const TEXT: usize = 64 * MIB;

fn main() {
    let ten = ten_secrets();
    println!("{:?}; pieces of 64 KiB", ten);
    let texts = [
        ("log lines of 80 bytes", log_lines()),
        ("JSON log with base64 and URLs", json_lines()),
        ("random bytes", random_bytes()),
        ("random base64", random_base64()),
        ("one secret in 4 KiB", one_secret_in(4096)),
        ("one secret in a line of 80 bytes", one_secret_in(80)),
        ("nothing but secrets", secret_values().concat().into_bytes().repeat(4)),
        ("near matches only", near_matches()),
    ];
    for (name, text) in &texts {
        measure(name, &ten, text, 64 << 10);
    }
    measure("log lines in pieces of one line", &ten, &log_lines(), 81);
    measure("log lines, byte by byte", &ten, &log_lines(), 1);
    measure("log lines, no secrets", &Masker::default(), &log_lines(), 64 << 10);
    let one = Masker::builder().secret("S", "Zq8#kP2!vX9@").build().masker;
    measure("log lines, one secret", &one, &log_lines(), 64 << 10);
    let short = Masker::builder().secret("S", "root").secret("T", "4711").build().masker;
    measure("log lines, secrets of four bytes", &short, &log_lines(), 64 << 10);
    let many = (0..500).fold(Masker::builder(), |b, n| b.secret("S", noise(n, 20 + n as usize % 40)));
    measure("log lines, 500 secrets", &many.build().masker, &log_lines(), 64 << 10);
    let row = Masker::builder().secret("S", "a".repeat(1000)).build().masker;
    measure("a row of a, secret of 1000 a", &row, &vec![b'a'; TEXT], 64 << 10);
    measure(
        "rows of 999 a, secret of 1000 a",
        &row,
        ["a".repeat(999), "b".into()].concat().repeat(1000).as_bytes(),
        64 << 10,
    );
    build("ten secrets", || drop(ten_secrets()));
    build("a secret of 1 MiB", || drop(Masker::builder().secret("S", noise(1, MIB)).build()));
    build("a secret of 32 KiB, encoded", || drop(Masker::builder().secret("S", noise(1, 32 << 10)).build()));
}

/// Pushes the text again and again, for at least half a second, and prints the best pass.
fn measure(name: &str, masker: &Masker, text: &[u8], piece: usize) {
    let mut out = Vec::with_capacity(2 * MIB);
    let mut best = f64::MAX;
    let begun = Instant::now();
    while best == f64::MAX || begun.elapsed().as_secs_f64() < 0.5 {
        let start = Instant::now();
        let mut stream = MaskStream::new(masker);
        for piece in text.chunks(piece) {
            stream.push(piece, &mut out);
            if out.len() > MIB {
                out.clear();
            }
        }
        stream.finish(&mut out);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:40} {:8.0} MiB/s", text.len() as f64 / MIB as f64 / best);
}

fn build(name: &str, build: impl Fn()) {
    let start = Instant::now();
    build();
    println!("build: {name:33} {:8.2} ms", start.elapsed().as_secs_f64() * 1e3);
}

/// Passwords, tokens and keys of the usual kinds.
fn secret_values() -> Vec<String> {
    let key: Vec<String> = (0..8).map(|line| noise(line, 64).replace(['#', '!', '@', ' '], "A")).collect();
    vec![
        "hunter2-hunter2".into(),
        "Zq8#kP2!vX9@".into(),
        format!("ghp_{}", noise(11, 36).replace(['#', '!', '@', ' '], "x")),
        "postgres://app:p%40ss/w0rd@db.internal:5432/app".into(),
        noise(12, 20),
        noise(13, 40),
        "AKIAIOSFODNN7EXAMPLE".into(),
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", key.join("\n")),
        "correct horse battery staple".into(),
    ]
}

fn ten_secrets() -> Masker {
    secret_values()
        .into_iter()
        .fold(Masker::builder(), |builder, value| builder.secret("S", value))
        .build()
        .masker
}

fn log_lines() -> Vec<u8> {
    let words =
        ["compiling", "test", "ok", "in", "src/main.rs", "warning:", "unused", "downloaded", "from", "cache"];
    let mut random = Random(1);
    let mut text = Vec::with_capacity(TEXT + 100);
    while text.len() < TEXT {
        let mut line = format!("2026-11-20T23:39:{:02}Z [{:4}]", random.below(60), random.below(9999));
        while line.len() < 72 {
            line = format!("{line} {}", words[random.below(10) as usize]);
        }
        line.truncate(79);
        text.extend_from_slice(format!("{line:79}\n").as_bytes());
    }
    text
}

fn json_lines() -> Vec<u8> {
    let mut text = Vec::with_capacity(TEXT + 300);
    for n in 0.. {
        let digest = noise(n, 43).replace(['#', '!', '@', ' '], "_");
        let line = format!(
            "{{\"time\":\"2026-11-20T23:39:33Z\",\"level\":\"info\",\"id\":{n},\"msg\":\"pulled\",\"digest\":\"{digest}=\",\
             \"url\":\"https://registry.internal/v2/app%2Fweb?tag=latest&user=ci\"}}\n"
        );
        text.extend_from_slice(line.as_bytes());
        if text.len() >= TEXT {
            break;
        }
    }
    text
}

fn random_bytes() -> Vec<u8> {
    let mut random = Random(3);
    (0..TEXT / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

fn random_base64() -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    random_bytes().into_iter().map(|byte| alphabet[usize::from(byte & 63)]).collect()
}

fn one_secret_in(bytes: usize) -> Vec<u8> {
    let values = secret_values();
    let mut text = log_lines();
    for (n, place) in text.chunks_exact_mut(bytes).enumerate() {
        let value = values[n % 8].as_bytes();
        place[..value.len()].copy_from_slice(value);
    }
    text
}

/// Every secret but its last byte.
fn near_matches() -> Vec<u8> {
    let parts: Vec<String> =
        secret_values().iter().map(|value| value[..value.trim().len() - 1].to_owned()).collect();
    parts.concat().into_bytes().repeat(TEXT / 1000)
}

/// Printable text that looks like a password.
fn noise(seed: u64, length: usize) -> String {
    let mut random = Random(seed + 77);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#!@";
    (0..length).map(|_| char::from(alphabet[random.below(65) as usize])).collect()
}

/// A small generator (xorshift), so that every run measures the same text.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}
