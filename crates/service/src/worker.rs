//! The server's background work: jobs, mail, forgetting what has expired. Every process of a
//! deployment runs it; rows are claimed, so two never do the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use keystead_domain::Timestamp;
use keystead_domain::invite::INVITE_KEPT;
use keystead_domain::policy::PlatformAction;
use keystead_storage::{
    access_requests, address_changes, address_proofs, api_keys, apps, claim_links, counters, devices,
    former_addresses, idempotency, invites, jobs, outbox, registrations, reset_codes, reset_links,
    revocations, sessions, sign_in_challenges, signing_keys, slowdowns as failures,
};

use crate::outbox::{Transport, send_due};
use crate::{
    Caller, Engine, Error, Result, audit_trail, leaks, passwords, people, sign_ups, slowdowns, verification,
};

/// How long the worker sleeps when nobody wakes it: what another process wrote waits no longer.
const PAUSE: Duration = Duration::from_secs(1);
/// How often expired rows are removed.
const SWEEP: Duration = Duration::from_secs(60);
/// How many expired rows are removed in one transaction.
const SWEEP_BATCH: i64 = 500;
/// How long it is remembered that a mail was sent or given up.
const FINISHED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a secret that has ended is still shown.
const ENDED_SECRET_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a claimed job is left to whoever claimed it.
const JOB_LEASE: Duration = Duration::from_secs(60);

/// Tells a running worker to stop.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// The worker finishes what it is doing and returns.
    pub fn stop(&self, engine: &Engine) {
        self.0.store(true, Ordering::Release);
        engine.work.ring();
        if let Ok(trail) = engine.store.trail() {
            trail.wake();
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Works until it is stopped. A failure is logged, and tried again. The audit trail is sealed on a
/// thread of its own: a mail server that takes its time must not keep events unsealed.
pub fn run(engine: &Engine, transport: &dyn Transport, stop: &Stop) {
    thread::scope(|scope| {
        scope.spawn(|| follow_revocations(engine, stop));
        scope.spawn(|| audit_trail::keep(engine, stop));
        work(engine, transport, stop);
    });
}

/// Keeps this process informed of what others end. While it cannot, nothing is answered from memory.
fn follow_revocations(engine: &Engine, stop: &Stop) {
    let mut feed = engine.feed();
    let mut was_away = false;
    while !stop.is_stopped() {
        let looked = feed.look();
        match &looked {
            Err(error) if !was_away => {
                tracing::warn!(%error, "it is not known what other processes revoke; every credential is looked up");
            }
            Ok(()) if was_away => tracing::info!("it is known again what other processes revoke"),
            _ => {}
        }
        was_away = looked.is_err();
        feed.wait();
    }
}

fn work(engine: &Engine, transport: &dyn Transport, stop: &Stop) {
    let mut swept: Option<Timestamp> = None;
    while !stop.is_stopped() {
        let done = run_due(engine, transport).unwrap_or_else(|error| {
            tracing::warn!(cause = cause(&error), "background work failed and will be tried again");
            0
        });
        if let Err(error) = people::write_key_uses(engine) {
            tracing::warn!(cause = cause(&error), "when keys were last used was not written down");
        }
        let now = engine.env.now();
        if swept.is_none_or(|last| now.since(last) >= SWEEP) {
            swept = Some(now);
            if let Err(error) = sweep(engine).and_then(|()| transport.tidy(now).map_err(Error::internal)) {
                tracing::warn!(
                    cause = cause(&error),
                    "what has expired was not removed; it will be tried again"
                );
            }
        }
        if done == 0 {
            engine.work.wait(PAUSE);
        }
    }
}

/// What the log says of an error.
pub(crate) fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Does the jobs and sends the mails that are due now; returns how many.
pub fn run_due(engine: &Engine, transport: &dyn Transport) -> Result<usize> {
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    let reported = leaks::do_waiting(engine)?;
    let now = engine.env.now();
    // Asking costs a read; claiming takes the write lock.
    let idle = engine.store.read(|tx| {
        let mut tx = tx.platform(&platform);
        Ok(!jobs::any_due(&mut tx, now)? && !outbox::any_due(&mut tx, now)?)
    })?;
    if idle {
        return Ok(reported);
    }
    let due =
        engine.store.write(move |tx| jobs::claim_due(&mut tx.platform(&platform), now, JOB_LEASE, 16))?;
    let mut done = 0;
    for job in due {
        let (id, outcome) = match job.kind {
            jobs::JobKind::ResendSignUpCode => (job.id, sign_ups::do_resend(engine, job)),
            jobs::JobKind::MailResetCode => (job.id, passwords::do_mail_reset_code(engine, job)),
            jobs::JobKind::MailAddressProof => (job.id, verification::do_mail(engine, job)),
            jobs::JobKind::MailResetLink => (job.id, crate::reset_links::do_mail(engine, job)),
            jobs::JobKind::TellOfFailures => (job.id, slowdowns::do_tell(engine, job)),
        };
        match outcome {
            Ok(()) => done += 1,
            // It comes back when its lease is over; others must not wait for it.
            Err(error) => {
                tracing::warn!(job = %id, cause = cause(&error), "a job failed and will be tried again")
            }
        }
    }
    Ok(reported + done + send_due(engine, transport)?)
}

/// Removes expired rows in small batches, so that nobody waits long for the writer.
fn sweep(engine: &Engine) -> Result<()> {
    let platform = Caller::system().allow_platform(PlatformAction::RunBackgroundWork)?;
    let now = engine.env.now();
    loop {
        let removed = engine.store.write(move |tx| {
            let mut tx = tx.platform(&platform);
            let most = [
                registrations::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                sessions::remove_ended(&mut tx, now, SWEEP_BATCH)?,
                devices::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                reset_codes::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                reset_links::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                address_proofs::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                sign_in_challenges::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                counters::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                failures::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                access_requests::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                claim_links::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                api_keys::remove_expired(&mut tx, now - ENDED_SECRET_KEPT, SWEEP_BATCH)?,
                api_keys::remove_ended_secrets(&mut tx, now, SWEEP_BATCH)?,
                apps::remove_ended_secrets(&mut tx, now - ENDED_SECRET_KEPT, SWEEP_BATCH)?,
                idempotency::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                address_changes::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                former_addresses::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                invites::remove_old(&mut tx, now - INVITE_KEPT, SWEEP_BATCH)?,
                outbox::remove_finished(&mut tx, now - FINISHED_KEPT, SWEEP_BATCH)?,
                signing_keys::remove_expired(&mut tx, now, SWEEP_BATCH)?,
                revocations::remove_old(&mut tx, SWEEP_BATCH)?,
            ];
            Ok(most.into_iter().max().unwrap_or(0))
        })?;
        if i64::try_from(removed).unwrap_or(0) < SWEEP_BATCH {
            return Ok(());
        }
    }
}
