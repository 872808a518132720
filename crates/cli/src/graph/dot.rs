//! A graph in the language of Graphviz: a cluster for each stage, an edge from what is needed to what needs it.

use std::fmt::Write;

use super::Graph;

/// The text. Nodes are called as their jobs are.
pub(crate) fn draw(graph: &Graph) -> String {
    let mut out = String::from("digraph pipeline {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
    for (number, (stage, nodes)) in graph.stages.iter().zip(graph.by_stage()).enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(out, "  subgraph cluster_{number} {{\n    label={};", quoted(stage));
        for node in nodes {
            let style = if node.detached { ", style=\"rounded,dashed\"" } else { "" };
            let _ = writeln!(out, "    {} [label={}{style}];", quoted(&node.name), quoted(&node.label()));
        }
        out += "  }\n";
    }
    for node in &graph.nodes {
        for need in &node.needs {
            let _ = writeln!(out, "  {} -> {};", quoted(&graph.nodes[*need].name), quoted(&node.name));
        }
    }
    out + "}\n"
}

/// A quoted ID. In one only `\"` is an escape, but in a label `\N`, `\G`, `\n` and others stand for something: a backslash is doubled
/// in both, so that what is one name stays one.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
