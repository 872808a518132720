//! How the two databases spell what they spell differently. Statements are written once, with words in braces for that; nothing else knows
//! which database it is.

/// A database's way to write SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Words, and what they are in SQLite and in PostgreSQL.
const WORDS: [(&str, &str, &str); 6] = [
    ("{bytes}", "BLOB", "BYTEA"),
    // The order of names is that of their bytes, whatever the database's locale.
    ("{name}", "TEXT", "TEXT COLLATE \"C\""),
    // Small rows lie in their primary key's tree; there is no other.
    ("{keyed}", "WITHOUT ROWID", ""),
    // Rows that change often leave room for their next version, and what they leave behind is cleared away early.
    (
        "{busy}",
        "WITHOUT ROWID",
        "WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)",
    ),
    // A queue's row is its lock; this passes by what somebody else has locked by hand.
    ("{free}", "", "FOR UPDATE SKIP LOCKED"),
    // Rows of a JSON list of [queue, number, attempt or null, holder in hexadecimal digits or null], in parameter 2.
    (
        "{speakers}",
        "(SELECT value ->> 0 AS queue, value ->> 1 AS id, value ->> 2 AS attempt, unhex(value ->> 3) AS holder \
         FROM json_each(?2))",
        "(SELECT value ->> 0 AS queue, (value ->> 1)::bigint AS id, (value ->> 2)::bigint AS attempt, \
         decode(value ->> 3, 'hex') AS holder FROM jsonb_array_elements(?2::text::jsonb))",
    ),
];

impl Dialect {
    /// `sql` in this dialect.
    pub(crate) fn spell(self, sql: &str) -> String {
        let mut spelled = sql.to_owned();
        for (word, sqlite, postgres) in WORDS {
            if spelled.contains(word) {
                spelled = spelled.replace(word, if self == Self::Sqlite { sqlite } else { postgres });
            }
        }
        // No statement has a question mark of its own.
        if self == Self::Postgres { spelled.replace('?', "$") } else { spelled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_spelled_as_its_database_wants_it() {
        let sql = "SELECT a FROM b WHERE c = ?1 {free}";
        assert_eq!(Dialect::Sqlite.spell(sql), "SELECT a FROM b WHERE c = ?1 ");
        assert_eq!(Dialect::Postgres.spell(sql), "SELECT a FROM b WHERE c = $1 FOR UPDATE SKIP LOCKED");
    }

    #[test]
    fn no_word_of_one_dialect_holds_another() {
        for (_, sqlite, postgres) in WORDS {
            assert!(!sqlite.contains('{') && !postgres.contains('{'), "{sqlite} {postgres}");
        }
    }
}
