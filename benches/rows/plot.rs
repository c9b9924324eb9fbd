//! A plot as SVG: a few lines over two logarithmic axes, each named at its end. Nothing in it depends on fonts, clocks or
//! the order of a map, so that the same figures give the same file.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::thousands;

const SIZE: (u32, u32) = (760, 420);
const FONT: &str = "sans-serif";
/// Of those that can be told apart without seeing colours (Okabe and Ito, "Color Universal Design", 2008), darkest first.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];
/// The least distance between two names, in pixels.
const LEADING: i32 = 18;

pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    /// At most as many as there are colours; the first is the one that the plot is about.
    pub(crate) lines: Vec<Line>,
}

impl Plot {
    /// # Errors
    /// When the file can't be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        Ok(std::fs::write(path, self.drawn()?)?)
    }

    /// # Errors
    /// When there are no points, or what they give can't be drawn.
    pub(crate) fn drawn(&self) -> Result<String, Box<dyn Error>> {
        let mut drawn = String::new();
        let root = SVGBackend::with_string(&mut drawn, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let [(left, right), (low, high)] = self.range();
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, (FONT, 20))
            .margin(10)
            .margin_right(170)
            .x_label_area_size(45)
            .y_label_area_size(65)
            .build_cartesian_2d((left..right).log_scale(), (low..high).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(self.across)
            .y_desc(self.up)
            .light_line_style(TRANSPARENT)
            .label_style((FONT, 15))
            .x_label_formatter(&|x| thousands(x.round() as usize))
            .y_label_formatter(&|y| thousands(y.round() as usize))
            .draw()?;
        let mut ends = Vec::new();
        for (place, (line, colour)) in self.lines.iter().zip(COLOURS).enumerate() {
            let width = if place == 0 { 3 } else { 1 };
            chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(width)))?;
            let end = line.points.last().ok_or("a line has points")?;
            ends.push((chart.backend_coord(end), line.name, colour));
        }
        for ((x, y), name, colour) in apart(ends) {
            let style = (FONT, 16).into_text_style(&root).color(&colour);
            root.draw(&Text::new(name, (x + 8, y), style.pos(Pos::new(HPos::Left, VPos::Center))))?;
        }
        root.present()?;
        drop((chart, root));
        Ok(drawn)
    }

    /// What both axes have to hold, up to the next powers of ten.
    fn range(&self) -> [(f64, f64); 2] {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let span = |values: &dyn Fn(&(f64, f64)) -> f64| {
            let least = points().map(values).fold(f64::INFINITY, f64::min);
            let most = points().map(values).fold(1.0, f64::max);
            (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()))
        };
        [span(&|point| point.0), span(&|point| point.1)]
    }
}

type End = ((i32, i32), &'static str, RGBColor);

/// The names from above to below, each far enough from the one before it.
fn apart(mut ends: Vec<End>) -> Vec<End> {
    ends.sort_by_key(|((_, y), name, _)| (*y, *name));
    let mut lowest = i32::MIN;
    for ((_, y), _, _) in &mut ends {
        *y = (*y).max(lowest);
        lowest = *y + LEADING;
    }
    ends
}
