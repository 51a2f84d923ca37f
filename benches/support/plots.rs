//! A run as plots: SVG files that a README shows.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::results::{Figure, Run, Subject};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 420;
const TEXT: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 17);
/// Colours that people with any eyesight can tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
/// Shares of what is possible, and stores.
const LATENCY_PANELS: [(&str, &str); 4] =
    [("50 %", "sqlite"), ("50 %", "jsonl"), ("80 %", "sqlite"), ("80 %", "jsonl")];
const CEILING: RGBColor = RGBColor(170, 170, 170);

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Done = Result<(), Box<dyn Error>>;

/// Writes `latency.svg`, `throughput.svg` and `growth.svg`, as far as the run has figures for them, and returns their names.
///
/// # Errors
///
/// When a file can't be written.
pub fn draw(run: &Run, folder: &Path) -> Result<Vec<&'static str>, Box<dyn Error>> {
    let mut drawn = Vec::new();
    if !run.curves.is_empty() {
        draw_file(&folder.join("latency.svg"), 2, |panels| {
            for (panel, (load, store)) in panels.iter().zip(LATENCY_PANELS) {
                latency(panel, run, load, store)?;
            }
            Ok(())
        })?;
        drawn.push("latency.svg");
    }
    let singles = bars(run, "answers");
    if !singles.is_empty() {
        draw_file(&folder.join("throughput.svg"), 1, |panels| {
            throughput(&panels[0], &singles, "Answers a second, in thousands")?;
            throughput(&panels[1], &bars(run, "commands"), "Commands a second in batches, in thousands")
        })?;
        drawn.push("throughput.svg");
    }
    if run.figures.iter().any(|figure| figure.subject.scenario == "growth") {
        draw_file(&folder.join("growth.svg"), 1, |panels| {
            growth(&panels[0], run, "answers", "Durable reserves a second", "1/s")?;
            growth(&panels[1], run, "ready after", "Ready after SIGKILL", "s")
        })?;
        drawn.push("growth.svg");
    }
    Ok(drawn)
}

/// A file of so many rows of two panels.
fn draw_file(file: &Path, rows: u32, draw: impl FnOnce(&[Panel<'_>]) -> Done) -> Done {
    let root = SVGBackend::new(file, (WIDTH, HEIGHT * rows)).into_drawing_area();
    root.fill(&WHITE)?;
    draw(&root.split_evenly((rows as usize, 2)))?;
    root.present()?;
    Ok(())
}

/// Percentiles to the right, each digit as wide as the one before; milliseconds upwards, likewise.
fn latency(panel: &Panel<'_>, run: &Run, load: &str, store: &str) -> Done {
    let curves: Vec<_> = run.curves.iter().filter(|curve| curve.load == load && curve.store == store).collect();
    if curves.is_empty() {
        return Ok(());
    }
    let most = curves.iter().flat_map(|curve| &curve.percentiles).map(|(_, ms)| *ms).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("Latency at {load} of the most, {store}"), TITLE)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..4.0, (0.05..most * 2.0).log_scale())?;
    let percentile = |nines: &f64| match nines {
        nines if *nines < 0.5 => "0".to_owned(),
        nines if *nines < 1.5 => "90".to_owned(),
        nines if *nines < 2.5 => "99".to_owned(),
        nines if *nines < 3.5 => "99.9".to_owned(),
        _ => "99.99".to_owned(),
    };
    chart
        .configure_mesh()
        .x_labels(5)
        .x_label_formatter(&percentile)
        .x_desc("percentile")
        .y_label_formatter(&|ms| plain(*ms))
        .y_desc("ms")
        .label_style(TEXT)
        .light_line_style(WHITE)
        .draw()?;
    let scenarios: BTreeSet<_> = run.curves.iter().map(|curve| &curve.scenario).collect();
    for curve in curves {
        // A load has the same colour in all panels.
        let place = scenarios.iter().position(|scenario| **scenario == curve.scenario).unwrap_or_default();
        let colour = COLOURS[place % COLOURS.len()];
        let nines = |percentile: f64| -(1.0 - percentile / 100.0).log10();
        let points = curve.percentiles.iter().map(|(percentile, ms)| (nines(*percentile), ms.max(0.05)));
        let points = points.filter(|(nines, _)| *nines <= 4.0);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(&curve.scenario)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(&mut chart, SeriesLabelPosition::LowerRight)
}

/// One bar: its name, the rounds, whether it is a ceiling.
struct Bar<'a> {
    name: String,
    figure: &'a Figure,
    is_ceiling: bool,
}

fn bars<'a>(run: &'a Run, measure: &str) -> Vec<Bar<'a>> {
    let is_compared = |figure: &&Figure| {
        let subject = &figure.subject;
        subject.load == "max" && (subject.measure == measure || (measure == "commands" && subject.measure == "rows"))
    };
    let bar = |figure: &'a Figure| {
        let is_ceiling = figure.subject.program != "service";
        let Subject { scenario, store, program, .. } = &figure.subject;
        let name = if is_ceiling { program.clone() } else { format!("{scenario}, {store}") };
        Bar { name, figure, is_ceiling }
    };
    run.figures.iter().filter(is_compared).map(bar).collect()
}

/// A bar for each program, the ceilings grey, with a line from the least to the most of a round.
#[allow(clippy::cast_precision_loss, reason = "a dozen bars")]
fn throughput(panel: &Panel<'_>, bars: &[Bar<'_>], title: &str) -> Done {
    if bars.is_empty() {
        return Ok(());
    }
    let most = bars.iter().map(|bar| bar.figure.max()).fold(0.0, f64::max) / 1_000.0;
    let mut chart = ChartBuilder::on(panel)
        .caption(title, TITLE)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(30)
        .y_label_area_size(150)
        .build_cartesian_2d(0.0..most * 1.15, 0.0..bars.len() as f64)?;
    let name_of = |place: &f64| {
        let from_top = bars.len() as f64 - place - 0.5;
        let is_middle = (from_top - from_top.round()).abs() < 0.01;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a dozen bars")]
        let bar = is_middle.then(|| bars.get(from_top.round().max(0.0) as usize)).flatten();
        bar.map_or(String::new(), |bar| bar.name.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .y_label_formatter(&name_of)
        .x_labels(6)
        .x_label_formatter(&|thousands| plain(*thousands))
        .label_style(TEXT)
        .light_line_style(WHITE)
        .draw()?;
    for (place, bar) in bars.iter().enumerate() {
        let bottom = (bars.len() - place - 1) as f64;
        let (median, least, most) =
            (bar.figure.median() / 1_000.0, bar.figure.min() / 1_000.0, bar.figure.max() / 1_000.0);
        let colour = if bar.is_ceiling { CEILING } else { COLOURS[0] };
        chart.draw_series([Rectangle::new([(0.0, bottom + 0.15), (median, bottom + 0.85)], colour.filled())])?;
        chart.draw_series([PathElement::new([(least, bottom + 0.5), (most, bottom + 0.5)], BLACK.stroke_width(1))])?;
        let (x, y) = chart.backend_coord(&(0.0, bottom + 0.5));
        let (left, top) = panel.get_base_pixel();
        let style = TextStyle::from(TEXT).pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Center,
        ));
        panel.draw_text(&bar.name, &style, (x - left - 6, y - top))?;
    }
    Ok(())
}

/// Events in the log to the right, each power of ten as wide as the one before; one line a store.
fn growth(panel: &Panel<'_>, run: &Run, measure: &str, title: &str, unit: &str) -> Done {
    let mut stores: BTreeMap<&str, Vec<(f64, &Figure)>> = BTreeMap::new();
    let figures = run.figures.iter().filter(|figure| figure.subject.scenario == "growth");
    for figure in figures.filter(|figure| figure.subject.measure == measure) {
        let events: f64 = figure.subject.load.trim_end_matches(" events").parse()?;
        let events = events.log10();
        stores.entry(&figure.subject.store).or_default().push((events, figure));
    }
    let all = || stores.values().flatten();
    let most = all().map(|(_, figure)| figure.max()).fold(0.0, f64::max);
    let events = || all().map(|(events, _)| *events);
    let (fewest, largest) = (events().fold(f64::INFINITY, f64::min), events().fold(0.0, f64::max));
    if all().next().is_none() {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(panel)
        .caption(title, TITLE)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(36)
        .y_label_area_size(70)
        .build_cartesian_2d(fewest - 0.2..largest + 0.2, 0.0..most * 1.4)?;
    let power_of_ten = |digits: &f64| {
        let is_whole = (digits - digits.round()).abs() < 0.01;
        if is_whole { plain(10_f64.powf(digits.round())) } else { String::new() }
    };
    chart
        .configure_mesh()
        .x_label_formatter(&power_of_ten)
        .x_desc("events in the log")
        .y_label_formatter(&|value| plain(*value))
        .y_desc(unit)
        .label_style(TEXT)
        .light_line_style(WHITE)
        .draw()?;
    for (place, (store, points)) in stores.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let medians = points.iter().map(|(events, figure)| (*events, figure.median()));
        chart
            .draw_series(LineSeries::new(medians, colour.stroke_width(2)))?
            .label(*store)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.iter().map(|(events, figure)| {
            ErrorBar::new_vertical(*events, figure.min(), figure.median(), figure.max(), colour.filled(), 8)
        }))?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Done
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(TEXT)
        .draw()?;
    Ok(())
}

/// A number as an axis shows it.
fn plain(number: f64) -> String {
    match number {
        large if large >= 1_000_000.0 => format!("{}M", large / 1_000_000.0),
        large if large >= 1_000.0 => format!("{}k", large / 1_000.0),
        large if large >= 10.0 => format!("{large:.0}"),
        small => format!("{}", (small * 100.0).round() / 100.0),
    }
}
