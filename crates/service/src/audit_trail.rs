//! Sealing the audit trail, checking it, taking it out, and removing what is old.
//!
//! A process seals what it has written itself. What a dead process left is sealed by a server
//! that finds it, once nothing was heard of that process for [`SILENCE`]. See
//! `docs/decisions/0070-audit-seals.md`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use keystead_domain::audit::check::{Check, Report, StoredSeal, removal};
use keystead_domain::audit::record::StoredEvent;
use keystead_domain::audit::seal::{MOST_IN_A_SEAL, Range, Seal, SealedBy, founding_process};
use keystead_domain::id::ProcessId;
use keystead_domain::policy::{Action, PlatformAction, PlatformScope};
use keystead_domain::{Owner, Timestamp};
use keystead_storage::audit::Period;
use keystead_storage::{PlatformTx, Store, StoreError, UniqueKey, audit, deployment, seals};

use crate::engine::background;
use crate::worker::{Stop, cause};
use crate::{Caller, Engine, Result};

/// How often a process seals, unless it has enough for a seal before.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often tails are looked for and old ranges removed.
const ROUND: Duration = Duration::from_secs(60);
/// After how long without a seal or an event a process that left unsealed events is taken for dead.
pub const SILENCE: Duration = Duration::from_secs(5 * 60);
/// How often a process that has nothing to seal says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(3600);
/// After how long a process that left nothing unsealed and says nothing is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// How often a seal is tried again whose place another process took.
const TRIES: usize = 100;
/// How many seals are read at once.
const PAGE: i64 = 100;
/// How many events are read at once.
const EVENTS: i64 = MOST_IN_A_SEAL as i64;

/// Keeps the trail until it is stopped, then seals the rest. A failure is logged, and tried again.
pub(crate) fn keep(engine: &Engine, stop: &Stop) {
    let (mut round, mut seen): (Option<Timestamp>, Option<Timestamp>) = (None, None);
    let report = |done: Result<()>, what: &str| {
        if let Err(error) = done {
            tracing::warn!(cause = cause(&error), "{what}; it will be tried again");
        }
    };
    while !stop.is_stopped() {
        let now = engine.env.now();
        match seal(engine) {
            Ok(0) if seen.is_some_and(|last| now.since(last) < HEARTBEAT) => {}
            Ok(0) => {
                seen = Some(now);
                report(announce(engine, now), "the process could not say that it is there");
            }
            Ok(_) => seen = Some(now),
            Err(error) => report(Err(error), "the audit trail was not sealed"),
        }
        if round.is_none_or(|last| now.since(last) >= ROUND) {
            round = Some(now);
            report(adopt(engine), "what a dead process left of the audit trail was not sealed");
            report(remove_old(engine), "old audit events were not removed");
        }
        if let Ok(trail) = engine.store.trail() {
            trail.wait(INTERVAL);
        }
    }
    report(close(engine), "the end of the audit trail was not sealed");
}

/// Seals what this process has written and not sealed yet; returns how many seals that took.
pub fn seal(engine: &Engine) -> Result<usize> {
    let (scope, trail) = (background()?, engine.store.trail()?);
    let process = trail.process();
    let (mut made, mut clashes) = (0, 0);
    while let Some(sealable) = trail.sealable() {
        let (key, now, first) = (Arc::clone(trail.key()), engine.env.now(), sealable.first);
        let covered = engine.store.write(move |tx| {
            let mut tx = tx.platform(&scope);
            let link = seals::link(&mut tx, process, &*key)?;
            if let Some(link) = link.filter(|link| link.last >= sealable.first) {
                // By somebody who took us for dead, or by a commit of ours that we heard nothing of.
                return Ok((link.last, false));
            }
            let mut events = sealable.events;
            events.extend(seals::settle(&mut tx, process, sealable.unknown)?);
            events.sort_unstable_by_key(|(number, _)| *number);
            let range =
                Range { process, first: sealable.first, last: sealable.last, events, by: SealedBy::Itself };
            let head = seals::head(&mut tx, &*key)?;
            seals::insert(&mut tx, &Seal::new(&range, link, head, now, &*key), head, &*key)?;
            seals::touch_process(&mut tx, process, now)?;
            Ok((sealable.last, true))
        });
        match covered {
            Ok((last, ours)) => {
                trail.sealed(last);
                made += 1;
                if !ours {
                    tracing::warn!(%process, first, last, "audit events were sealed by another process already");
                }
            }
            Err(StoreError::Taken(UniqueKey::AuditSeal)) if clashes < TRIES => clashes += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(made)
}

/// Seals the rest and says that this process has ended. Call it when no more events will come.
pub fn close(engine: &Engine) -> Result<()> {
    let sealed = seal(engine)?;
    let trail = engine.store.trail()?;
    if sealed == 0 && !trail.is_registered() {
        return Ok(());
    }
    let (scope, process, now) = (background()?, trail.process(), engine.env.now());
    Ok(engine.store.write(move |tx| seals::forget_process(&mut tx.platform(&scope), process, now))?)
}

fn announce(engine: &Engine, now: Timestamp) -> Result<()> {
    let (scope, trail) = (background()?, engine.store.trail()?);
    let process = trail.process();
    engine.store.write(move |tx| seals::touch_process(&mut tx.platform(&scope), process, now))?;
    trail.registered();
    Ok(())
}

/// Seals what processes left that have ended without sealing it.
pub fn adopt(engine: &Engine) -> Result<()> {
    let (scope, trail, now) = (background()?, engine.store.trail()?, engine.env.now());
    let others = engine.store.read(|tx| seals::list_processes(&mut tx.platform(&scope)))?;
    for (process, seen_at) in others {
        if process == trail.process() || process == founding_process() {
            continue;
        }
        let (newest, link) = engine.store.read(|tx| {
            let mut tx = tx.platform(&scope);
            Ok((seals::newest_at(&mut tx, process)?, seals::link(&mut tx, process, &**trail.key())?))
        })?;
        let silent = now.since(newest.map_or(seen_at, |newest| newest.max(seen_at)));
        if silent < SILENCE {
            continue;
        }
        let key = trail.key();
        let genuine = |event: &StoredEvent| {
            event.mac.is_some_and(|mac| mac.matches(&key.vouch(event.digest().as_bytes())))
        };
        let covered = link.map_or(0, |link| link.last);
        let sealed = seal_tail(&engine.store, &scope, process, covered, now, genuine)?;
        if sealed > 0 {
            tracing::warn!(%process, sealed, "sealed the audit events of a process that ended without sealing them");
        }
        if silent >= FORGOTTEN {
            engine
                .store
                .write(move |tx| seals::forget_process(&mut tx.platform(&scope), process, seen_at))?;
        }
    }
    Ok(())
}

/// Seals the events that are older than seals, before anything else is sealed. Where the end that was
/// marked is not there, it is not seals that are younger, but a trail that is gone.
pub(crate) fn found(
    store: &Store,
    scope: &PlatformScope,
    now: Timestamp,
) -> std::result::Result<(), StoreError> {
    let (scope, process) = (*scope, founding_process());
    let key = Arc::clone(store.trail()?.key());
    let state = |tx: &mut PlatformTx<'_>| {
        let waits = seals::list_processes(tx)?.iter().any(|(id, _)| *id == process);
        let marked = deployment::audit_end(tx)?.and_then(|mark| mark.authentic(&*key));
        let whole = marked == Some(seals::head(tx, &*key)?);
        Ok((waits, whole && !seals::any_of_others(tx, process)?, seals::link(tx, process, &*key)?))
    };
    let (waits, in_time, link) = store.read(|tx| state(&mut tx.platform(&scope)))?;
    if !waits || !in_time {
        return Ok(());
    }
    let covered = link.map_or(0, |link| link.last);
    seal_tail(store, &scope, process, covered, now, |event| event.mac.is_none())?;
    store.write(move |tx| seals::forget_process(&mut tx.platform(&scope), process, now))
}

/// Seals the genuine events of another process after `covered`; returns how many that are.
fn seal_tail(
    store: &Store,
    scope: &PlatformScope,
    process: ProcessId,
    mut covered: i64,
    now: Timestamp,
    genuine: impl Fn(&StoredEvent) -> bool,
) -> std::result::Result<usize, StoreError> {
    let (scope, key) = (*scope, Arc::clone(store.trail()?.key()));
    let (mut sealed, mut clashes) = (0, 0);
    loop {
        let text = process.to_string();
        let mut events =
            store.read(|tx| seals::events(&mut tx.platform(&scope), &text, covered + 1, i64::MAX, EVENTS))?;
        events.retain(&genuine);
        let Some(last) = events.last().map(|event| event.number.min(covered + EVENTS)) else {
            return Ok(sealed);
        };
        let events: Vec<_> = events
            .iter()
            .filter(|event| event.number <= last)
            .map(|event| (event.number, event.digest()))
            .collect();
        let count = events.len();
        let range = Range { process, first: covered + 1, last, events, by: SealedBy::Another };
        let key = Arc::clone(&key);
        let done = store.write(move |tx| {
            let mut tx = tx.platform(&scope);
            let link = seals::link(&mut tx, process, &*key)?;
            let last = link.map_or(0, |link| link.last);
            if last >= range.first {
                // Another server was faster.
                return Ok((last, 0));
            }
            let head = seals::head(&mut tx, &*key)?;
            seals::insert(&mut tx, &Seal::new(&range, link, head, now, &*key), head, &*key)?;
            Ok((range.last, count))
        });
        match done {
            Ok((last, count)) => {
                covered = last;
                sealed += count;
            }
            Err(StoreError::Taken(UniqueKey::AuditSeal)) if clashes < TRIES => clashes += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Removes the events of sealed ranges that are older than the deployment keeps them. A range that
/// does not hold stays: what is left of it is evidence.
pub fn remove_old(engine: &Engine) -> Result<()> {
    let Some(kept) = engine.settings.audit_retention else { return Ok(()) };
    let (scope, trail, now) = (background()?, engine.store.trail()?, engine.env.now());
    let mut after = (Timestamp::from_micros(i64::MIN), i64::MIN);
    loop {
        let old = engine
            .store
            .read(|tx| seals::list_removable(&mut tx.platform(&scope), now - kept, after, PAGE))?;
        // SQLite has numbers that are none, which are in no order.
        if old.last().is_none_or(|(age, _)| *age <= after) {
            return Ok(());
        }
        for (age, stored) in &old {
            after = *age;
            let StoredSeal::Legible(seal) = stored else { continue };
            let (key, seal) = (Arc::clone(trail.key()), seal.clone());
            let removed = engine.store.write(move |tx| {
                let mut tx = tx.platform(&scope);
                let events = seals::events_of(&mut tx, &seal)?;
                match removal(&seal, &events, now, &*key) {
                    Some(removal) => seals::remove_range(&mut tx, &seal, &removal).map(|_| true),
                    None => Ok(false),
                }
            })?;
            if !removed {
                tracing::warn!(
                    seal = after.1,
                    "a sealed range of the audit trail does not hold, and is kept"
                );
            }
        }
    }
}

fn number(stored: &StoredSeal) -> i64 {
    match stored {
        StoredSeal::Legible(seal) => seal.number,
        StoredSeal::Illegible(number) => *number,
    }
}

/// Checks the whole trail against its seals, as it is at one instant.
pub fn verify(engine: &Engine, caller: &Caller) -> Result<Report> {
    let scope = caller.allow_platform(PlatformAction::ReadAudit)?;
    let key = engine.store.trail()?.key();
    let report = engine.store.read(|tx| {
        let mut tx = tx.platform(&scope);
        let mut check = Check::new(&**key);
        let _ = each_seal(&mut tx, |tx, stored| {
            let events = match stored {
                StoredSeal::Legible(seal) => seals::events_of(tx, seal)?,
                StoredSeal::Illegible(_) => Vec::new(),
            };
            check.seal(stored, &events);
            Ok(ControlFlow::Continue(()))
        })?;
        each_process(&mut tx, |tx, process| {
            let covered = check.covered(process);
            // No genuine number is below 1.
            for (first, last) in [(i64::MIN, 0), (covered.saturating_add(1), i64::MAX)] {
                let _ = each_between(tx, process, first, last, |event| {
                    check.uncovered(event);
                    ControlFlow::Continue(())
                })?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        check.unnumbered(seals::count_unnumbered(&mut tx)?);
        check.end(deployment::audit_end(&mut tx)?.as_ref());
        Ok(check.finish())
    })?;
    Ok(report)
}

/// A part of an export.
pub enum Exported<'e> {
    /// An event.
    Event(&'e StoredEvent),
    /// A seal, after those of its events that are exported.
    Seal(&'e Seal),
}

/// Hands out the events of a period, of one owner or of all, with the seals that cover them, until
/// `give` breaks. All of it is one state of the database, read in small pages.
pub fn export(
    engine: &Engine,
    caller: &Caller,
    of: Option<Owner>,
    period: Period,
    give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
) -> Result<()> {
    match of {
        Some(owner) => export_of(engine, caller, owner, period, give),
        None => export_all(engine, caller, period, give),
    }
}

fn export_all(
    engine: &Engine,
    caller: &Caller,
    period: Period,
    give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let scope = caller.allow_platform(PlatformAction::ReadAudit)?;
    let everything = period.since.is_none() && period.until.is_none();
    let within = |event: &StoredEvent| period.contains(Timestamp::from_micros(event.record.at));
    engine.store.read(|tx| {
        let mut tx = tx.platform(&scope);
        // From which number each process's events have not been handed out.
        let mut done: HashMap<String, i64> = HashMap::new();
        let ended = each_seal(&mut tx, |tx, stored| {
            let StoredSeal::Legible(seal) = stored else { return Ok(ControlFlow::Continue(())) };
            let process = seal.process.to_string();
            let from = done.get(&process).copied().unwrap_or(i64::MIN);
            done.insert(process.clone(), from.max(seal.last.saturating_add(1)));
            // A seal is younger than its events.
            if period.since.is_some_and(|since| seal.at < since) {
                return Ok(ControlFlow::Continue(()));
            }
            let mut any = everything;
            let given = each_between(tx, &process, from, seal.last, |event| {
                if !within(event) {
                    return ControlFlow::Continue(());
                }
                any = true;
                give(Exported::Event(event))
            })?;
            Ok(if given.is_continue() && any { give(Exported::Seal(seal)) } else { given })
        })?;
        if ended.is_break() {
            return Ok(());
        }
        each_process(&mut tx, |tx, process| {
            let from = done.get(process).copied().unwrap_or(i64::MIN);
            each_between(tx, process, from, i64::MAX, |event| {
                if within(event) { give(Exported::Event(event)) } else { ControlFlow::Continue(()) }
            })
        })?;
        Ok(())
    })?;
    Ok(())
}

fn export_of(
    engine: &Engine,
    caller: &Caller,
    owner: Owner,
    period: Period,
    give: &mut dyn FnMut(Exported<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let rows = caller.allow(Action::ReadAudit, owner)?;
    let platform = caller.allow_platform(PlatformAction::ReadAudit)?;
    engine.store.read(|tx| {
        let mut after = String::new();
        let mut given = HashSet::new();
        loop {
            let page = audit::list(&mut tx.tenant(&rows), &period, &after, EVENTS)?;
            let mut ranges: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
            for event in &page {
                let range = ranges.entry(&event.process).or_insert((event.number, event.number));
                *range = (range.0.min(event.number), range.1.max(event.number));
                if give(Exported::Event(event)).is_break() {
                    return Ok(());
                }
            }
            for (process, (first, last)) in ranges {
                for stored in seals::covering(&mut tx.platform(&platform), process, first, last)? {
                    let StoredSeal::Legible(seal) = stored else { continue };
                    let has_one = page.iter().any(|event| {
                        event.process == process && (seal.first..=seal.last).contains(&event.number)
                    });
                    if has_one && given.insert(seal.number) && give(Exported::Seal(&seal)).is_break() {
                        return Ok(());
                    }
                }
            }
            match page.last() {
                Some(last) => after.clone_from(&last.record.id),
                None => return Ok(()),
            }
        }
    })?;
    Ok(())
}

/// Every seal, by number.
fn each_seal(
    tx: &mut PlatformTx<'_>,
    mut f: impl FnMut(&mut PlatformTx<'_>, &StoredSeal) -> std::result::Result<ControlFlow<()>, StoreError>,
) -> std::result::Result<ControlFlow<()>, StoreError> {
    let mut after = i64::MIN;
    loop {
        let page = seals::list(tx, after, PAGE)?;
        for stored in &page {
            if f(tx, stored)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        // SQLite has numbers that are none, which are in no order.
        match page.last().map(number).filter(|last| *last > after) {
            Some(last) => after = last,
            None => return Ok(ControlFlow::Continue(())),
        }
    }
}

/// Every process that has events.
fn each_process(
    tx: &mut PlatformTx<'_>,
    mut f: impl FnMut(&mut PlatformTx<'_>, &str) -> std::result::Result<ControlFlow<()>, StoreError>,
) -> std::result::Result<(), StoreError> {
    let mut after = String::new();
    while let Some(process) = seals::next_process(tx, &after)? {
        if f(tx, &process)?.is_break() {
            break;
        }
        after = process;
    }
    Ok(())
}

/// Every event of a process with a number from `first` to `last`.
fn each_between(
    tx: &mut PlatformTx<'_>,
    process: &str,
    mut first: i64,
    last: i64,
    mut f: impl FnMut(&StoredEvent) -> ControlFlow<()>,
) -> std::result::Result<ControlFlow<()>, StoreError> {
    loop {
        let page = seals::events(tx, process, first, last, EVENTS)?;
        if page.iter().try_for_each(&mut f).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        match page.last().and_then(|newest| newest.number.checked_add(1)) {
            Some(next) => first = next,
            None => return Ok(ControlFlow::Continue(())),
        }
    }
}
