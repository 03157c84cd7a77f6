//! Log lines on their way to stderr.
//!
//! Each request has a line, and writing it by itself would cost more than finding out who calls. So lines
//! are gathered for a few milliseconds and written together, in their order. A warning or an error is written at
//! once, with all that came before it.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// For how long lines are gathered: as much is lost if the process is killed.
const GATHERING: Duration = Duration::from_millis(10);
/// How many bytes wait at most: whoever adds more writes them, and waits where stderr is not read.
const MOST: usize = 256 * 1024;
/// How many bytes of room are kept for the next lines.
const KEPT: usize = 16 * 1024;

/// Where lines are gathered. Those that are left are written when this is dropped.
pub(super) struct Lines {
    gathered: Gathered,
    thread: Option<JoinHandle<()>>,
}

/// A handle for whoever writes lines.
#[derive(Clone)]
pub(super) struct Gathered(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    came: Condvar,
    /// Held by whoever writes, so that lines keep their order.
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    stopped: bool,
}

impl Lines {
    /// Begins to gather lines for `out`.
    pub(super) fn begin(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let shared = Shared { state: Mutex::default(), came: Condvar::new(), out: Mutex::new(out) };
        let gathered = Gathered(Arc::new(shared));
        let handle = gathered.clone();
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || handle.0.serve())?;
        Ok(Self { gathered, thread: Some(thread) })
    }

    /// A handle for whoever writes lines.
    pub(super) fn gathered(&self) -> Gathered {
        self.gathered.clone()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.gathered.0.state().stopped = true;
        self.gathered.0.came.notify_one();
        if let Some(thread) = self.thread.take() {
            // Nothing in it panics.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        loop {
            let waiting = |state: &mut State| state.text.is_empty() && !state.stopped;
            let state = self.came.wait_while(self.state(), waiting);
            let stopped = state.unwrap_or_else(PoisonError::into_inner).stopped;
            if !stopped {
                thread::sleep(GATHERING);
            }
            self.write_out();
            if stopped {
                return;
            }
        }
    }

    /// Writes what was gathered. Where stderr takes nothing, there is nobody to tell.
    fn write_out(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let text = mem::take(&mut self.state().text);
        let _ = out.write_all(&text).and_then(|()| out.flush());
        if text.capacity() <= KEPT {
            let mut state = self.state();
            if state.text.is_empty() {
                state.text = text;
                state.text.clear();
            }
        }
    }
}

/// Takes the lines of one event.
pub(super) struct Line<'l> {
    shared: &'l Shared,
    urgent: bool,
}

impl<'l> MakeWriter<'l> for Gathered {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Line<'l> {
        Line { shared: &self.0, urgent: true }
    }

    fn make_writer_for(&'l self, event: &Metadata<'_>) -> Line<'l> {
        Line { shared: &self.0, urgent: *event.level() <= Level::WARN }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (first, at_once) = {
            let mut state = self.shared.state();
            let first = state.text.is_empty();
            state.text.extend_from_slice(line);
            // Once nobody gathers any more, each line is written by itself.
            (first, state.stopped || state.text.len() > MOST)
        };
        if self.urgent || at_once {
            self.shared.write_out();
        } else if first {
            self.shared.came.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shared.write_out();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Instant;

    /// What was written, by how it was.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<String>>>);

    impl Paper {
        fn written(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Paper {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(text.to_vec()).unwrap());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(gathered: &Gathered, urgent: bool, text: &str) {
        Line { shared: &gathered.0, urgent }.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_is_urgent_is_there_at_once_after_what_came_before() {
        let paper = Paper::default();
        let lines = Lines::begin(Box::new(paper.clone())).unwrap();
        for n in 0..100 {
            line(&lines.gathered(), false, &format!("{n}\n"));
        }
        line(&lines.gathered(), true, "broken\n");
        let all: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(paper.written().concat(), all + "broken\n");
    }

    #[test]
    fn the_rest_is_written_a_moment_later_or_at_the_end() {
        let paper = Paper::default();
        let lines = Lines::begin(Box::new(paper.clone())).unwrap();
        line(&lines.gathered(), false, "one\n");
        let began = Instant::now();
        while paper.written().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(1));
        }
        let gathered = lines.gathered();
        line(&gathered, false, "two\n");
        drop(lines);
        assert_eq!(paper.written().concat(), "one\ntwo\n");
        line(&gathered, false, "late\n");
        assert_eq!(paper.written().concat(), "one\ntwo\nlate\n");
    }

    #[test]
    fn what_waits_is_bounded() {
        let paper = Paper::default();
        let lines = Lines::begin(Box::new(paper.clone())).unwrap();
        let long = "x".repeat(1000);
        for _ in 0..10_000 {
            line(&lines.gathered(), false, &long);
        }
        drop(lines);
        let written = paper.written();
        assert!(written.iter().all(|text| text.len() <= MOST + 1000));
        assert_eq!(written.concat().len(), 10_000_000);
    }
}
