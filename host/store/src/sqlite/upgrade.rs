//! From format 1 to format 2: rows are sealed, and freed pages can be given back. All or nothing.

use super::opening::{SCHEMA_VERSION, SET_ASIDE};
use super::{open_error, put_meta, put_queue};
use crate::encoding::seal::{Key, seal_body};
use crate::store::StoreError;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::path::Path;

const NUMBERED: [&str; 4] = ["job", "task", "task_status", "worker"];

pub(super) fn upgrade(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| open_error(path, &error);
    tracing::info!(path = %path.display(), "the store is brought to format {SCHEMA_VERSION}");
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    seal_all(&transaction).and_then(|()| transaction.commit()).map_err(failed)?;
    // The file is sound without this; it only does not get smaller.
    let vacuumed = connection
        .pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .and_then(|()| connection.execute_batch("VACUUM"));
    if let Err(error) = vacuumed {
        tracing::warn!(%error, "the store's file will not give back the room of forgotten tasks");
    }
    Ok(())
}

/// Bodies are taken as they are: one that cannot be read is found when it is.
fn seal_all(transaction: &Transaction) -> rusqlite::Result<()> {
    for table in NUMBERED {
        let ids: Vec<i64> = transaction
            .prepare(&format!("SELECT id FROM {table}"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut read = transaction.prepare(&format!("SELECT body FROM {table} WHERE id = ?"))?;
        let mut write =
            transaction.prepare(&format!("UPDATE {table} SET body = ? WHERE id = ?"))?;
        for id in ids {
            let body: Vec<u8> = read.query_row([id], |row| row.get(0))?;
            write.execute(params![seal_body(table, &Key::Number(id), &body), id])?;
        }
    }
    let keys: Vec<(String, Vec<u8>)> = transaction
        .prepare("SELECT key, body FROM idempotency_key")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, body) in keys {
        let sealed = seal_body("idempotency_key", &Key::Text(key.clone()), &body);
        transaction
            .execute("UPDATE idempotency_key SET body = ? WHERE key = ?", params![sealed, key])?;
    }
    transaction.execute_batch(
        "ALTER TABLE meta ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE queue ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;",
    )?;
    transaction.execute_batch(SET_ASIDE)?;
    let meta: Vec<(String, i64)> = transaction
        .prepare("SELECT name, value FROM meta")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, value) in meta {
        put_meta(transaction, &name, value)?;
    }
    let queues: Vec<(String, bool)> = transaction
        .prepare("SELECT name, paused FROM queue")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, paused) in queues {
        put_queue(transaction, &name, paused)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)
}
