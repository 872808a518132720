//! A graph as an SVG picture that stands alone: a column for each stage, a box for each job, a line from what is needed to what needs
//! it.

use std::fmt::Write;

use super::layout::{Cell, Layout, place};
use super::{Graph, Node};

/// The most characters of a name in a box or over a column; the whole name is in the box's title.
const LONGEST: usize = 28;
/// Pixels. A character of the monospaced font is about this wide.
const CHARACTER: usize = 8;
const BOX_HEIGHT: usize = 30;
const ROW: usize = 46;
const GAP: usize = 64;
const MARGIN: usize = 24;
const HEADER: usize = 40;

const STYLE: &str = "\
text{font:13px ui-monospace,monospace;fill:#1f2328}\
.stage{font-weight:bold}\
rect{fill:#f6f8fa;stroke:#57606a}\
.beside rect{stroke-dasharray:5 3}\
path{fill:none;stroke:#8c959f}";

/// The picture, the same for the same graph.
pub(crate) fn draw(graph: &Graph) -> String {
    let layout = place(graph);
    let scale = Scale { box_width: box_width(graph) };
    let width = scale.x(layout.stages.len()) - GAP + MARGIN;
    let height = MARGIN + HEADER + layout.rows * ROW;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" style=\"fill:#fff;stroke:none\"/>\n"
    );
    stages(&mut out, graph, &layout, &scale);
    lines(&mut out, graph, &layout, &scale);
    for (node, cell) in graph.nodes.iter().zip(&layout.cells) {
        boxed(&mut out, node, *cell, &scale);
    }
    out + "</svg>\n"
}

/// From columns and rows to pixels.
struct Scale {
    box_width: usize,
}

impl Scale {
    fn x(&self, column: usize) -> usize {
        MARGIN + column * (self.box_width + GAP)
    }

    fn y(row: usize) -> usize {
        MARGIN + HEADER + row * ROW
    }
}

fn box_width(graph: &Graph) -> usize {
    let labels = graph.nodes.iter().map(|node| cut(&node.label()));
    let longest =
        labels.chain(graph.stages.iter().map(|stage| cut(stage))).map(|label| label.chars().count()).max();
    longest.unwrap_or(0) * CHARACTER + 20
}

/// The names over the columns; a stage of several columns has its name over the first.
fn stages(out: &mut String, graph: &Graph, layout: &Layout, scale: &Scale) {
    let mut named = None;
    for (column, stage) in layout.stages.iter().enumerate() {
        if named.replace(*stage) != Some(*stage) {
            let (x, y) = (scale.x(column), MARGIN + 10);
            // Writing to a string does not fail, here and below.
            let _ = writeln!(
                out,
                "<text class=\"stage\" x=\"{x}\" y=\"{y}\">{}</text>",
                escaped(&cut(&graph.stages[*stage]))
            );
        }
    }
}

fn lines(out: &mut String, graph: &Graph, layout: &Layout, scale: &Scale) {
    for (node, to) in graph.nodes.iter().zip(&layout.cells) {
        for need in &node.needs {
            let from = layout.cells[*need];
            let (x1, y1) = (scale.x(from.column) + scale.box_width, Scale::y(from.row) + BOX_HEIGHT / 2);
            let (x2, y2) = (scale.x(to.column), Scale::y(to.row) + BOX_HEIGHT / 2);
            let far = to.column > from.column + 1;
            let line = if far { around(x1, y1, x2, y2) } else { bend(x1, y1, x2, y2) };
            let _ = writeln!(out, "<path d=\"M{x1} {y1}{line}m-6 -4l6 4l-6 4\"/>");
        }
    }
}

/// From one column to the next.
fn bend(x1: usize, y1: usize, x2: usize, y2: usize) -> String {
    format!("C{} {y1} {} {y2} {x2} {y2}", x1 + GAP / 2, x2 - GAP / 2)
}

/// Over several columns: between the rows, as boxes stand on them.
fn around(x1: usize, y1: usize, x2: usize, y2: usize) -> String {
    let between = y1 + ROW / 2;
    format!("{}H{}{}", bend(x1, y1, x1 + GAP, between), x2 - GAP, bend(x2 - GAP, between, x2, y2))
}

fn boxed(out: &mut String, node: &Node, cell: Cell, scale: &Scale) {
    let (x, y, width) = (scale.x(cell.column), Scale::y(cell.row), scale.box_width);
    let class = if node.detached { " class=\"beside\"" } else { "" };
    let mut title = vec![node.label()];
    title.extend(node.variants.iter().cloned());
    title.extend(node.condition.iter().map(|condition| format!("if {condition}")));
    let _ = writeln!(
        out,
        "<g{class}><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX_HEIGHT}\" rx=\"6\"/>\
         <text x=\"{}\" y=\"{}\">{}</text></g>",
        escaped(&title.join("\n")),
        x + 10,
        y + BOX_HEIGHT / 2 + 5,
        escaped(&cut(&node.label()))
    );
}

fn cut(text: &str) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// Text of an XML document; what XML cannot hold is shown as that.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
