//! The tables, as both databases have them. See `migrations/` for keys and indexes.

use diesel::{allow_tables_to_appear_in_same_query, table};

table! {
    deployment (key) {
        key -> Text,
        value -> Text,
    }
}

table! {
    tenants (id) {
        id -> Text,
        slug -> Text,
        name -> Text,
        plan -> Text,
        status -> Text,
        entity_hotkey -> Nullable<Text>,
        created_at -> BigInt,
        mfa_required -> Bool,
        pinned_keys_only -> Bool,
    }
}

table! {
    apps (owner, id) {
        owner -> Text,
        id -> Text,
        client_id -> Text,
        name -> Text,
        allowed_scopes -> Text,
        first_party -> Bool,
        active -> Bool,
        introspect -> Text,
        created_at -> BigInt,
    }
}

table! {
    app_secrets (owner, app_id, id) {
        owner -> Text,
        app_id -> Text,
        id -> Text,
        digest -> Binary,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
        ends_at -> Nullable<BigInt>,
    }
}

table! {
    users (directory, id) {
        directory -> Text,
        id -> Text,
        email -> Text,
        email_key -> Text,
        email_verified_at -> Nullable<BigInt>,
        name -> Nullable<Text>,
        password_hash -> Nullable<Text>,
        status -> Text,
        operator -> Bool,
        created_at -> BigInt,
        handle -> Nullable<Text>,
        last_login_at -> Nullable<BigInt>,
        updated_at -> Nullable<BigInt>,
    }
}

table! {
    registrations (directory, id) {
        directory -> Text,
        id -> Text,
        email -> Text,
        email_key -> Text,
        name -> Nullable<Text>,
        password_hash -> Text,
        code_mac -> Nullable<Binary>,
        code_expires_at -> Nullable<BigInt>,
        code_tries_left -> Nullable<Integer>,
        created_at -> BigInt,
        expires_at -> BigInt,
        link_digest -> Nullable<Binary>,
    }
}

table! {
    sessions (directory, id) {
        directory -> Text,
        id -> Text,
        user_id -> Text,
        digest -> Binary,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        ends_at -> BigInt,
        ip -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        active_tenant -> Nullable<Text>,
        transient -> Bool,
    }
}

table! {
    sign_in_challenges (directory, digest) {
        directory -> Text,
        digest -> Binary,
        user_id -> Text,
        transient -> Bool,
        tries_left -> Integer,
        expires_at -> BigInt,
    }
}

table! {
    devices (directory, digest) {
        directory -> Text,
        digest -> Binary,
        user_id -> Text,
        failures -> Integer,
        expires_at -> BigInt,
    }
}

table! {
    address_proofs (directory, user_id) {
        directory -> Text,
        user_id -> Text,
        email -> Text,
        mac -> Binary,
        code_expires_at -> BigInt,
        tries_left -> Integer,
        digest -> Binary,
        expires_at -> BigInt,
    }
}

table! {
    reset_links (directory, user_id) {
        directory -> Text,
        user_id -> Text,
        digest -> Binary,
        expires_at -> BigInt,
    }
}

table! {
    memberships (tenant_id, id) {
        tenant_id -> Text,
        id -> Text,
        directory -> Text,
        user_id -> Text,
        role -> Text,
        founder -> Bool,
        created_at -> BigInt,
    }
}

table! {
    invites (tenant_id, id) {
        tenant_id -> Text,
        id -> Text,
        email -> Text,
        email_key -> Text,
        role -> Text,
        inviter_id -> Nullable<Text>,
        status -> Text,
        digest -> Nullable<Binary>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    projects (tenant_id, id) {
        tenant_id -> Text,
        id -> Text,
        name -> Text,
        slug -> Text,
        website -> Nullable<Text>,
        status -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

table! {
    api_keys (directory, id) {
        directory -> Text,
        id -> Text,
        user_id -> Text,
        tenant_id -> Nullable<Text>,
        membership_id -> Nullable<Text>,
        name -> Text,
        environment -> Text,
        scopes -> Text,
        session_id -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

table! {
    api_key_secrets (digest) {
        digest -> Binary,
        prefix -> Nullable<Text>,
        start -> Nullable<Text>,
        directory -> Text,
        key_id -> Text,
        created_at -> BigInt,
        ends_at -> Nullable<BigInt>,
    }
}

table! {
    api_key_bars (tenant_id, key_id) {
        tenant_id -> Text,
        key_id -> Text,
        directory -> Text,
        created_at -> BigInt,
    }
}

table! {
    imported_keys (digest) {
        digest -> Binary,
        imported_at -> BigInt,
    }
}

table! {
    leak_reports (digest) {
        digest -> Binary,
        reported_at -> BigInt,
    }
}

table! {
    idempotency_answers (tenant_id, user_id, method, path, key) {
        tenant_id -> Text,
        user_id -> Text,
        method -> Text,
        path -> Text,
        key -> Text,
        directory -> Text,
        body_digest -> Binary,
        status -> Integer,
        answer -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    counters (directory, subject, name, window_start) {
        directory -> Text,
        subject -> Text,
        name -> Text,
        window_start -> BigInt,
        expires_at -> BigInt,
        count -> Integer,
    }
}

table! {
    slowdowns (directory, subject) {
        directory -> Text,
        subject -> Text,
        failures -> Integer,
        last_at -> BigInt,
        next_at -> BigInt,
        told -> Bool,
        expires_at -> BigInt,
    }
}

table! {
    outbox (id) {
        id -> Text,
        directory -> Text,
        template -> Text,
        recipient -> Text,
        sealed -> Nullable<Binary>,
        created_at -> BigInt,
        attempts -> Integer,
        next_attempt_at -> Nullable<BigInt>,
        sent_at -> Nullable<BigInt>,
        refusals -> Integer,
        failed_at -> Nullable<BigInt>,
    }
}

table! {
    jobs (id) {
        id -> Text,
        directory -> Text,
        kind -> Text,
        subject -> Text,
        created_at -> BigInt,
        attempts -> Integer,
        next_attempt_at -> BigInt,
        detail -> Nullable<Text>,
    }
}

table! {
    signing_keys (kid) {
        kid -> Text,
        algorithm -> Text,
        sealed_seed -> Binary,
        master_key_id -> Text,
        state -> Text,
        created_at -> BigInt,
        activated_at -> Nullable<BigInt>,
        verifies_until -> Nullable<BigInt>,
    }
}

table! {
    audit_events (owner, id) {
        owner -> Text,
        id -> Text,
        at -> BigInt,
        actor_kind -> Text,
        actor_id -> Nullable<Text>,
        action -> Text,
        target -> Nullable<Text>,
        outcome -> Text,
        ip -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        process -> Nullable<Text>,
        number -> Nullable<BigInt>,
        mac -> Nullable<Binary>,
    }
}

table! {
    audit_processes (id) {
        id -> Text,
        seen_at -> BigInt,
    }
}

table! {
    audit_seals (number) {
        number -> BigInt,
        process -> Text,
        ordinal -> BigInt,
        first_event -> BigInt,
        last_event -> BigInt,
        absent -> Text,
        sealed_by -> Text,
        sealed_at -> BigInt,
        hash -> Binary,
        previous_of_process -> Nullable<Binary>,
        previous -> Nullable<Binary>,
        key_id -> Text,
        mac -> Binary,
        removed_at -> Nullable<BigInt>,
        removal_mac -> Nullable<Binary>,
    }
}

table! {
    totp (directory, user_id) {
        directory -> Text,
        user_id -> Text,
        secret -> Nullable<Binary>,
        last_step -> Nullable<BigInt>,
        pending_secret -> Nullable<Binary>,
        enrolled_in -> Nullable<Text>,
    }
}

table! {
    access_requests (id) {
        id -> Text,
        company -> Text,
        contact_email -> Text,
        intended_use -> Text,
        status -> Text,
        tenant_id -> Nullable<Text>,
        app_id -> Nullable<Text>,
        reason -> Nullable<Text>,
        created_at -> BigInt,
        decided_at -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
    }
}

table! {
    recovery_codes (directory, user_id, mac) {
        directory -> Text,
        user_id -> Text,
        mac -> Binary,
        pending -> Bool,
    }
}

table! {
    reset_codes (directory, user_id) {
        directory -> Text,
        user_id -> Text,
        mac -> Binary,
        expires_at -> BigInt,
        tries_left -> Integer,
    }
}

table! {
    claim_links (owner, app_id) {
        owner -> Text,
        app_id -> Text,
        digest -> Binary,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    revocations (seq) {
        seq -> BigInt,
        kind -> Text,
        key -> Text,
    }
}

table! {
    address_changes (directory, user_id) {
        directory -> Text,
        user_id -> Text,
        email -> Text,
        digest -> Binary,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

table! {
    former_addresses (directory, user_id, position) {
        directory -> Text,
        user_id -> Text,
        position -> Integer,
        email -> Text,
        email_key -> Text,
        had_second_factor -> Bool,
        digest -> Binary,
        changed_at -> BigInt,
        expires_at -> BigInt,
    }
}

allow_tables_to_appear_in_same_query!(
    tenants,
    apps,
    app_secrets,
    users,
    sessions,
    totp,
    access_requests,
    claim_links,
    address_changes,
    former_addresses,
    memberships,
    invites,
    projects,
    api_keys,
    api_key_secrets,
    api_key_bars
);
