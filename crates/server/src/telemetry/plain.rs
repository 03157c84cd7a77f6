//! How a log line reads where nobody asked for JSON: as `tracing_subscriber`'s format has it.
//!
//! There is one for each request, and that format is general: it asks of each part whether it has a colour, and writes
//! all of them through `format!`. What lines usually have is written here without that, to the same bytes; the rest is
//! left to it.

use std::cell::RefCell;
use std::fmt::{self, Debug};

use keystead_crypto::env::SystemEnv;
use keystead_domain::{Env as _, Timestamp};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::VisitOutput as _;
use tracing_subscriber::fmt::format::{DefaultVisitor, Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats lines.
#[derive(Default)]
pub(super) struct Plain {
    general: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'f> FormatFields<'f> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let in_span = context.event_scope().is_some_and(|mut scope| scope.next().is_some());
        if writer.has_ansi_escapes() || in_span {
            return self.general.format_event(context, writer, event);
        }
        write_instant(&mut writer, SystemEnv.now())?;
        writer.write_str(match *event.metadata().level() {
            Level::TRACE => " TRACE ",
            Level::DEBUG => " DEBUG ",
            Level::INFO => "  INFO ",
            Level::WARN => "  WARN ",
            Level::ERROR => " ERROR ",
        })?;
        writer.write_str(event.metadata().target())?;
        writer.write_str(": ")?;
        let mut fields = Fields { writer: writer.by_ref(), is_first: true, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writer.write_char('\n')
    }
}

thread_local! {
    /// The last second that was written, and as what.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
}

/// Writes what `Timestamp` displays; its date and time of day once a second, which is most of the work.
fn write_instant(writer: &mut Writer<'_>, now: Timestamp) -> fmt::Result {
    let (seconds, micros) = (now.as_micros().div_euclid(1_000_000), now.as_micros().rem_euclid(1_000_000));
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != seconds || text.is_empty() {
            *text = now.to_rfc3339_seconds();
            text.truncate(text.trim_end_matches('Z').len());
            *second = seconds;
        }
        writer.write_str(text)
    })?;
    // A digit more than the fraction has, so that its leading zeros are written.
    let mut digits = itoa::Buffer::new();
    let fraction = digits.format(1_000_000 + micros);
    writer.write_char('.')?;
    writer.write_str(fraction.get(1..).unwrap_or_default())?;
    writer.write_char('Z')
}

struct Fields<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn add(&mut self, write: impl FnOnce(&mut Writer<'_>, bool) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = write(&mut self.writer, self.is_first);
            self.is_first = false;
        }
    }

    fn number(&mut self, field: &Field, number: impl itoa::Integer) {
        self.add(|writer, is_first| {
            name(writer, field, is_first)?;
            writer.write_str(itoa::Buffer::new().format(number))
        });
    }

    fn general(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        self.add(|writer, is_first| {
            let mut visitor = DefaultVisitor::new(writer.by_ref(), is_first);
            record(&mut visitor);
            visitor.finish()
        });
    }
}

fn name(writer: &mut Writer<'_>, field: &Field, is_first: bool) -> fmt::Result {
    if !is_first {
        writer.write_char(' ')?;
    }
    writer.write_str(field.name())?;
    writer.write_char('=')
}

/// Whether the name is that of a field like any other.
fn is_common(field: &Field) -> bool {
    field.name() != "message" && !field.name().starts_with("r#")
}

/// Whether `Debug` writes a text as it is, between quotes.
fn is_simple(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if is_common(field) {
            self.number(field, value);
        } else {
            self.general(|visitor| visitor.record_u64(field, value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if is_common(field) {
            self.number(field, value);
        } else {
            self.general(|visitor| visitor.record_i64(field, value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_common(field) && is_simple(value) {
            self.add(|writer, is_first| {
                name(writer, field, is_first)?;
                writer.write_char('"')?;
                writer.write_str(value)?;
                writer.write_char('"')
            });
        } else {
            self.general(|visitor| visitor.record_str(field, value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.general(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.general(|visitor| visitor.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The lines of one format, each of which is written at once.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<String>>>);

    impl io::Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(text.to_vec()).unwrap());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Paper {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    /// What both formats make of what happens, without the instants.
    fn formatted(happens: impl Fn()) -> [Vec<String>; 2] {
        let papers = [Paper::default(), Paper::default()];
        let general = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(papers[0].clone());
        let plain = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .event_format(Plain::default())
            .with_writer(papers[1].clone());
        let subscriber = tracing_subscriber::registry().with(general).with(plain);
        tracing::subscriber::with_default(subscriber, happens);
        let without_instant = |line: &String| line.split_at("2026-06-29T00:00:00.000000Z".len()).1.to_owned();
        papers.map(|paper| paper.0.lock().unwrap().iter().map(without_instant).collect())
    }

    #[test]
    fn lines_read_as_the_general_format_has_them() {
        let [general, plain] = formatted(|| {
            tracing::info!(
                request = "01K",
                method = "GET",
                path = "/",
                status = 200_u16,
                micros = 12_u64,
                "answered"
            );
            tracing::warn!("a {} of two", "word");
            tracing::error!(error = %io::Error::other("gone"), code = -5, ok = true, share = 0.5, "went \u{1b}[31m wrong");
            tracing::debug!(r#type = "x", list = ?[1, 2], none = Option::<u8>::None);
            tracing::trace!(target: "elsewhere", message = "as a field", other = 1_u128);
            tracing::info!(error = &io::Error::other("gone") as &dyn std::error::Error);
            tracing::info_span!("within", a = 1).in_scope(|| tracing::info!(b = 2, "spans"));
        });
        assert_eq!(general, plain);
        assert_eq!(plain.len(), 7);
    }

    #[test]
    fn instants_have_six_digits_of_a_second() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_782_691_200_000_042, "2026-06-29T00:00:00.000042Z"),
            (1_782_691_200_999_999, "2026-06-29T00:00:00.999999Z"),
            (1_782_691_201_000_000, "2026-06-29T00:00:01.000000Z"),
        ] {
            let mut written = String::new();
            write_instant(&mut Writer::new(&mut written), Timestamp::from_micros(micros)).unwrap();
            assert_eq!(written, text);
            assert_eq!(written, Timestamp::from_micros(micros).to_string());
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_as_the_general_format_has_it(text: String, number: u64) {
            let [general, plain] = formatted(|| tracing::info!(text, number, "{text}"));
            prop_assert_eq!(general, plain);
        }
    }
}
