//! `jobwright graph`.

use jobwright_pipeline::Pipeline;

use crate::args::{GraphArgs, GraphFormat};
use crate::commands::pipeline_file;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::graph::{Graph, dot, svg, text};
use crate::show::sink;

pub(crate) fn run(args: &GraphArgs) -> Result<Exit, Failure> {
    let pipeline = Pipeline::load(pipeline_file(args.config.as_deref(), &args.project)?)?;
    let graph = Graph::of(&pipeline);
    let drawn = match args.format {
        GraphFormat::Text => text::draw(&graph),
        GraphFormat::Dot => dot::draw(&graph),
        GraphFormat::Svg => svg::draw(&graph),
    };
    sink::say(drawn.trim_end());
    Ok(Exit::Success)
}
