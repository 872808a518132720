//! A graph as lines for a terminal: the stages with their jobs, and behind each job what it needs.

use std::fmt::Write;

use super::{Graph, Node};
use crate::show::harmless::harmless;

/// How many variants of a matrix, or needs of a job, are named.
const NAMED: usize = 8;

/// The lines. Names are a person's, checked to hold nothing that acts on a terminal; a condition may, and is escaped.
pub(crate) fn draw(graph: &Graph) -> String {
    let mut out = format!("{} job(s) in {} stage(s)\n", graph.jobs, graph.stages.len());
    for (stage, nodes) in graph.stages.iter().zip(graph.by_stage()) {
        out += &format!("\n{stage}\n");
        if nodes.is_empty() {
            out += "  (no job)\n";
        }
        for (index, node) in nodes.iter().enumerate() {
            job(&mut out, graph, node, index + 1 == nodes.len());
        }
    }
    if graph.has_needs() {
        out += "\n← what must have passed before; a job without it waits for all earlier stages\n";
    }
    out
}

fn job(out: &mut String, graph: &Graph, node: &Node, last: bool) {
    let (branch, below) = if last { ("└─", "  ") } else { ("├─", "│ ") };
    let needs: Vec<&str> = node.needs.iter().map(|need| graph.nodes[*need].name.as_str()).collect();
    let needs = if needs.is_empty() { String::new() } else { format!("  ← {}", named(&needs)) };
    // Writing to a string does not fail.
    let _ = writeln!(out, "{branch} {}{needs}", node.label());
    if !node.variants.is_empty() {
        let variants: Vec<&str> = node.variants.iter().map(String::as_str).collect();
        let _ = writeln!(out, "{below}   {}", named(&variants));
    }
    if let Some(condition) = &node.condition {
        let _ = writeln!(out, "{below}   if {}", harmless(&condition.replace('\n', " ")));
    }
}

fn named(names: &[&str]) -> String {
    match names.len().checked_sub(NAMED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{}, … and {more} more", names[..NAMED].join(", ")),
    }
}
