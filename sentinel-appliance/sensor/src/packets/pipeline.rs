//! Packet pipeline: filtered packets to views, capture files, results and statistics, from files and live alike.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;

use sentinel_alert::Alert;
use sentinel_capture::Frame;
use sentinel_capture::file::Reader;
use sentinel_track::hash::HashKey;
use sentinel_units::{LinkType, Prefix, Timestamp};

use crate::packets::bulk::{BulkAction, BulkRead};
use crate::packets::flows::FlowView;
use crate::packets::options::{PacketOptions, View};
use crate::packets::record::RecordView;
use crate::packets::results::Results;
use crate::packets::save::{Save, Saved};
use crate::packets::show::statistics::Statistics;
use crate::packets::show::{Facts, hex, json, line};
use crate::packets::totals::{PacketSource, Totals};
use crate::settings::Settings;
use crate::settings::lists::Lists;
use crate::system::clock;
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;
use crate::worker::analyser::{Analyser, LiveConfig};

/// Views, files and statistics that every packet is given to.
pub(crate) struct PacketPipeline {
    options: PacketOptions,
    bulk_action: Option<BulkAction>,
    analyser: Option<Box<Analyser>>,
    flows: Option<FlowView>,
    records: Option<RecordView>,
    output: Output,
    save: Option<Save>,
    results: Option<Results>,
    statistics: Option<Statistics>,
    /// Names of live interfaces, indexed by the number in their frames.
    interfaces: Vec<String>,
    /// Link type of the input, once it is known.
    link: Option<LinkType>,
    count: u64,
    alerts: u64,
}

impl PacketPipeline {
    /// Opens the outputs of `options`. `interfaces` and their `networks` are those of a live capture.
    pub(crate) fn new(
        options: &PacketOptions,
        settings: &Settings,
        seed: u64,
        interfaces: Vec<String>,
        networks: &[Prefix],
    ) -> Result<Self, Failure> {
        let analyser =
            if options.view.has_alerts() { Some(analyser(settings, seed, networks)?) } else { None };
        let records = (options.view == View::Records).then(|| RecordView::new(seed));
        let flows = (options.view == View::Flows).then(|| FlowView::new(settings.flow_entries, seed));
        let results = match &options.results {
            Some(directory) => Some(Results::open(directory, clock::wall())?),
            None => None,
        };
        let save = options.save.clone().map(|request| Save::new(request, interfaces.clone()));
        let statistics = options.statistics.map(|_| Statistics::default());
        Ok(Self {
            options: options.clone(),
            bulk_action: BulkAction::of(options),
            analyser,
            flows,
            records,
            output: Output::new(),
            save,
            results,
            statistics,
            interfaces,
            link: None,
            count: 0,
            alerts: 0,
        })
    }

    /// Packets so far.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Sets the link type of the input: a capture file is then created even if no packet comes.
    pub(crate) const fn announce(&mut self, link: LinkType) {
        self.link = Some(link);
    }

    /// Creates the first capture file, so that it is there even if no packet comes.
    pub(crate) fn begin(&mut self, link: LinkType, what: &str) -> Result<(), Failure> {
        let now = clock::wall();
        if let Some(save) = &mut self.save {
            save.begin(now, link)?;
            save.flush()?;
        }
        self.log(what)
    }

    /// Returns true if [`Self::bulk_read`] does everything that the options require.
    pub(crate) const fn can_bulk_read(&self) -> bool {
        self.bulk_action.is_some()
    }

    /// Reads at most `most` frames of a file without the checks of [`Self::packet`].
    pub(crate) fn bulk_read(&mut self, reader: &mut Reader<'_>, most: u64) -> Result<BulkRead, Failure> {
        if self.bulk_action == Some(BulkAction::Analyse) {
            self.analyse_file(reader, most)
        } else {
            self.count_file(reader, most)
        }
    }

    fn count_file(&mut self, reader: &mut Reader<'_>, most: u64) -> Result<BulkRead, Failure> {
        let mut bulk = BulkRead::default();
        while bulk.frames < most {
            match reader.next() {
                Ok(Some(_)) => bulk.frames += 1,
                Ok(None) => bulk.is_over = true,
                Err(error) => bulk.error = Some(error),
            }
            if bulk.is_over || bulk.error.is_some() {
                break;
            }
        }
        self.count += bulk.frames;
        Ok(bulk)
    }

    /// A loop of its own: as a closure of a shared loop, the work on a frame would be a call, which costs 8 instructions each.
    fn analyse_file(&mut self, reader: &mut Reader<'_>, most: u64) -> Result<BulkRead, Failure> {
        let mut bulk = BulkRead::default();
        self.analyse(|analyser, raise| {
            while bulk.frames < most {
                // A loop of its own for nearly all frames: of them interface and tag are constants.
                if let Some(frame) = reader.next_in_memory() {
                    bulk.analyse(&frame, analyser, raise);
                    continue;
                }
                match reader.next() {
                    Ok(Some(frame)) => bulk.analyse(&frame, analyser, raise),
                    Ok(None) => {
                        bulk.is_over = true;
                        return;
                    }
                    Err(error) => {
                        bulk.error = Some(error);
                        return;
                    }
                }
            }
        })?;
        // Without the frames of link types that are not read; set, not added: the analyser counts from its start.
        self.count = self.analyser.as_ref().map_or(0, |analyser| analyser.counts().analysed);
        Ok(bulk)
    }

    /// Processes one packet; `Break` if a limit of the options is reached.
    pub(crate) fn packet(&mut self, frame: &Frame<'_>) -> Result<ControlFlow<()>, Failure> {
        // A bulk action has no other outputs and no limits, so there is nothing else to do. Frames of a pipe, of a
        // filtered file and of a live capture come here.
        if self.bulk_action == Some(BulkAction::Analyse) {
            self.count += 1;
            self.analyse(|analyser, raise| analyser.frame(frame, raise))?;
            return Ok(ControlFlow::Continue(()));
        }
        let frame = &self.cut(frame);
        // Saved first: a frame that the last file does not take is neither counted nor shown.
        if let Some(save) = &mut self.save
            && save.write(frame)? == Saved::AllFilesFull
        {
            return Ok(ControlFlow::Break(()));
        }
        self.count += 1;
        self.show(frame)?;
        let is_last = self.options.count.is_some_and(|most| self.count >= most);
        Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn cut<'f>(&self, frame: &Frame<'f>) -> Frame<'f> {
        let most = self.options.snap_bytes.and_then(|most| usize::try_from(most).ok());
        let bytes = most.and_then(|most| frame.bytes.get(..most)).unwrap_or(frame.bytes);
        Frame { bytes, ..*frame }
    }

    fn show(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        let is_published = !self.options.quiet;
        match self.options.view {
            View::Alerts | View::AlertText => {
                self.analyse(|analyser, raise| analyser.frame(frame, raise))?;
            }
            View::Records if is_published => {
                if let Some(records) = &mut self.records {
                    records.frame(frame, &mut self.output)?;
                }
            }
            View::Flows if is_published => {
                if let Some(flows) = &mut self.flows {
                    flows.frame(frame, &mut self.output)?;
                }
            }
            _ => {}
        }
        let has_facts = is_published && matches!(self.options.view, View::Lines | View::Json);
        if !has_facts && self.results.is_none() && self.statistics.is_none() {
            return Ok(());
        }
        // Once for line, results and statistics; packets that are only saved or counted are not dissected.
        let facts = Facts::of(frame);
        if has_facts {
            self.show_facts(frame, &facts)?;
        }
        if let Some(results) = &mut self.results {
            results.packet(frame.at, &facts)?;
        }
        if let Some(statistics) = &mut self.statistics {
            statistics.add(frame.at, &facts);
        }
        Ok(())
    }

    fn show_facts(&mut self, frame: &Frame<'_>, facts: &Facts<'_>) -> Result<(), Failure> {
        let PacketOptions { view, colours, dump, verbose, link_header, .. } = self.options;
        let interface = self.interfaces.get(usize::from(frame.interface)).map(String::as_str);
        let at = self.options.zone.shift(frame.at);
        // The number of this packet, which `packet` has counted.
        let (number, several) = (self.count, self.interfaces.len() > 1);
        self.output.line(|out| {
            if view == View::Json {
                return json::write(frame, facts, number, interface, dump.is_some(), out);
            }
            line::write(at, facts, line::Style { colours, verbose, link_header }, out)?;
            if let Some(interface) = interface.filter(|_| several) {
                write!(out, " on {interface}")?;
            }
            dump.map_or(Ok(()), |dump| hex::dump_frame(frame, dump, out))
        })
    }

    /// Advances the clock while there is no traffic.
    pub(crate) fn idle(&mut self, now: Timestamp) -> Result<(), Failure> {
        if let Some(flows) = &mut self.flows {
            flows.tick(now, &mut self.output)?;
        }
        self.analyse(|analyser, raise| analyser.tick(now, raise))
    }

    /// Runs one step of the detectors and prints the alerts that it raises.
    fn analyse(&mut self, step: impl FnOnce(&mut Analyser, &mut dyn FnMut(Alert))) -> Result<(), Failure> {
        let Self { analyser: Some(analyser), options, output, alerts, .. } = self else { return Ok(()) };
        let mut outcome = Ok(());
        // The callback cannot fail, so the first error is kept and the engine finishes its step.
        step(analyser, &mut |alert: Alert| {
            *alerts += 1;
            // Counted also with `--quiet`, for the summary.
            let written = match options.view {
                _ if options.quiet => Ok(()),
                View::Alerts => output.alert_json(&alert, None),
                _ => output.alert_text(&alert),
            };
            if outcome.is_ok() {
                outcome = written;
            }
        });
        outcome
    }

    /// Flushes all outputs.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()?;
        if let Some(save) = &mut self.save {
            save.flush()?;
        }
        if let Some(results) = &mut self.results {
            results.flush()?;
        }
        Ok(())
    }

    /// Writes a line of statistics about the time since the last one.
    pub(crate) fn interval(&mut self, now: Timestamp) -> Result<(), Failure> {
        let Some(statistics) = &mut self.statistics else { return Ok(()) };
        let mut text = String::new();
        statistics.interval(now, &mut text).map_err(|_| Failure::new("formatting statistics failed"))?;
        self.say_statistics(&text)
    }

    /// Writes statistics to standard output if nothing else goes there, else to standard error; and to the log.
    fn say_statistics(&mut self, text: &str) -> Result<(), Failure> {
        let to_output = self.options.view == View::Nothing
            && self.options.save.as_ref().is_none_or(|save| save.path.as_os_str() != "-");
        if self.options.quiet {
        } else if to_output {
            self.output.text(text)?;
            self.output.flush()?;
        } else {
            say(text);
        }
        self.log(text)
    }

    /// Appends to the log of the results.
    pub(crate) fn log(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.results {
            Some(results) => results.log(clock::wall(), text),
            None => Ok(()),
        }
    }

    /// Ends everything: closes incidents, completes files, prints totals.
    pub(crate) fn finish(&mut self, totals: &Totals) -> Result<(), Failure> {
        // All views end before the flush: statistics and summary, on standard error, must follow them on a terminal.
        self.analyse(|analyser, raise| analyser.finish(raise))?;
        if let Some(flows) = &mut self.flows {
            flows.finish(&mut self.output)?;
        }
        if let Some(records) = &mut self.records {
            records.finish(&mut self.output)?;
        }
        // Does nothing if a packet was saved: creates the file of an input without packets.
        if let (Some(save), Some(link)) = (&mut self.save, self.link) {
            save.begin(clock::wall(), link)?;
        }
        if self.options.view == View::CountOnly && !self.options.quiet {
            let count = self.count;
            self.output.line(|line| write!(line, "{count}"))?;
        }
        self.flush()?;
        if let Some(statistics) = &self.statistics {
            let mut text = String::new();
            statistics.report(&mut text).map_err(|_| Failure::new("formatting statistics failed"))?;
            self.say_statistics(&text)?;
        }
        let summary = self.summary(totals).map_err(|_| Failure::new("formatting the summary failed"))?;
        self.log(&summary)?;
        if !self.options.quiet && (totals.source == PacketSource::Live || self.options.view.is_for_people()) {
            say(&summary);
        }
        Ok(())
    }

    fn summary(&self, totals: &Totals) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        totals.write(self.count, &mut text)?;
        if let Some(analyser) = &self.analyser {
            let counts = analyser.counts();
            writeln!(text, "{} packets analysed", counts.analysed)?;
            writeln!(text, "{} packets malformed", counts.malformed)?;
            writeln!(text, "{} packets truncated", counts.truncated)?;
            writeln!(text, "{} alert messages", self.alerts)?;
        }
        if let Some(results) = &self.results {
            writeln!(text, "results in {}", results.path().display())?;
        }
        Ok(text)
    }
}

fn analyser(settings: &Settings, seed: u64, networks: &[Prefix]) -> Result<Box<Analyser>, Failure> {
    crate::settings::indicators::begin(settings)?;
    let live_config = LiveConfig::new(settings, networks, Lists::load(settings, settings)?);
    Ok(Analyser::new(settings.memory_kib, HashKey::new(seed), &live_config))
}

/// Writes lines to standard error; a closed one is ignored.
pub(crate) fn say(text: &str) {
    let _is_closed = std::io::stderr().write_all(text.as_bytes());
}
