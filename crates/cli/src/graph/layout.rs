//! Where the jobs of a picture stand: a column for each stage, wider where jobs need jobs of their own stage, and in each column the
//! jobs near what they need. Not for drawing. Layout crates find layers of their own; here the stages are the layers.

use super::Graph;

/// A job's place: its column and row, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) column: usize,
    pub(super) row: usize,
}

/// All places.
pub(super) struct Layout {
    /// By node.
    pub(super) cells: Vec<Cell>,
    /// By column: the stage.
    pub(super) stages: Vec<usize>,
    /// The most rows of a column.
    pub(super) rows: usize,
}

/// Places the nodes of `graph`: the same graph always in the same way, in time that grows with nodes and needs, but for a sort of each
/// column.
pub(super) fn place(graph: &Graph) -> Layout {
    let depths = depths(graph);
    let mut widths = vec![1; graph.stages.len()];
    for (node, depth) in graph.nodes.iter().zip(&depths) {
        widths[node.stage] = widths[node.stage].max(depth + 1);
    }
    let first: Vec<usize> =
        widths.iter().scan(0, |next, width| Some(std::mem::replace(next, *next + width))).collect();
    let stages: Vec<usize> =
        widths.iter().enumerate().flat_map(|(stage, width)| std::iter::repeat_n(stage, *width)).collect();
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); stages.len()];
    for (index, (node, depth)) in graph.nodes.iter().zip(&depths).enumerate() {
        columns[first[node.stage] + depth].push(index);
    }
    let mut cells = vec![Cell { column: 0, row: 0 }; graph.nodes.len()];
    for (column, nodes) in columns.iter_mut().enumerate() {
        // Stable: jobs that need nothing keep the file's order, before those that need what stands lower.
        nodes.sort_by_key(|index| height(graph, &cells, *index));
        nodes.iter().enumerate().for_each(|(row, index)| cells[*index] = Cell { column, row });
    }
    Layout { cells, stages, rows: columns.iter().map(Vec::len).max().unwrap_or(0) }
}

/// The mean row of what a node needs, in thousandths of a row.
fn height(graph: &Graph, cells: &[Cell], index: usize) -> usize {
    let needs = &graph.nodes[index].needs;
    needs.iter().map(|need| cells[*need].row * 1000).sum::<usize>().checked_div(needs.len()).unwrap_or(0)
}

/// How many needs within its own stage lie before each node. Goes through the graph without recursion: a chain may be long.
fn depths(graph: &Graph) -> Vec<usize> {
    let own = |index: usize| {
        let node = &graph.nodes[index];
        node.needs.iter().copied().filter(move |need| graph.nodes[*need].stage == node.stage)
    };
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    let mut waits: Vec<usize> = vec![0; graph.nodes.len()];
    for (index, waits) in waits.iter_mut().enumerate() {
        for need in own(index) {
            dependents[need].push(index);
            *waits += 1;
        }
    }
    let mut depths = vec![0; graph.nodes.len()];
    let mut ready: Vec<usize> = (0..waits.len()).filter(|index| waits[*index] == 0).collect();
    while let Some(index) = ready.pop() {
        for dependent in &dependents[index] {
            depths[*dependent] = depths[*dependent].max(depths[index] + 1);
            waits[*dependent] -= 1;
            if waits[*dependent] == 0 {
                ready.push(*dependent);
            }
        }
    }
    depths
}
