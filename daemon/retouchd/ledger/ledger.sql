-- Every statement of the ledger. `-- migration: N` starts the schema's N-th version,
-- `-- name: X` a statement that ledger.py runs. Paths are BLOBs: the bytes that the disk has.

-- migration: 1
CREATE TABLE ledger (
    id         TEXT NOT NULL,            -- names this ledger in temporary files
    created_at REAL NOT NULL
);
CREATE TABLE roots (                     -- a lane's folders, known again by their marker
    lane   TEXT NOT NULL,
    role   TEXT NOT NULL,
    path   BLOB NOT NULL,
    marker TEXT NOT NULL,
    PRIMARY KEY (lane, role)
);
CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    lane            TEXT NOT NULL,
    task            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'ready', 'running', 'published',
                                                   'done', 'failed', 'quarantined', 'cancelled')),
    source          TEXT NOT NULL,       -- where the hole comes from: mask, folder_mask, …
    name            BLOB NOT NULL,       -- the drop that names the job, relative to the inbox
    created_at      REAL NOT NULL,
    updated_at      REAL NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0,
    interrupted     INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL,
    output          BLOB,                -- output path committed before the rename
    output_sha256   TEXT,
    output_size     INTEGER,
    key             TEXT,                -- sha256 over inputs, task, settings and model
    duplicate_of    INTEGER,
    model           TEXT,
    model_sha256    TEXT,
    settings        TEXT NOT NULL DEFAULT '{}',
    timings         TEXT NOT NULL DEFAULT '{}',
    notes           TEXT NOT NULL DEFAULT '[]',
    error           TEXT,
    remedy          TEXT,
    error_file      BLOB,                -- the text beside the quarantined original
    completed_at    REAL
);
CREATE INDEX jobs_by_state ON jobs (state, next_attempt_at);
CREATE INDEX jobs_by_lane ON jobs (lane, state);
CREATE INDEX jobs_by_key ON jobs (key) WHERE key IS NOT NULL;
CREATE INDEX jobs_done ON jobs (completed_at) WHERE state = 'done';
CREATE TABLE drops (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    path       BLOB NOT NULL,
    place      TEXT NOT NULL,
    "where"    BLOB NOT NULL,
    size       INTEGER,
    mtime_ns   INTEGER,
    inode      INTEGER,
    decoded    INTEGER NOT NULL DEFAULT 0,
    sha256     TEXT,
    next_place TEXT,
    next_where BLOB
);
CREATE INDEX drops_by_job ON drops (job);
CREATE INDEX drops_in_inbox ON drops (job) WHERE place = 'inbox';
CREATE INDEX drops_moving ON drops (job) WHERE next_place IS NOT NULL;
CREATE TABLE changes (                   -- every state change, with its reason
    job    INTEGER NOT NULL,
    at     REAL NOT NULL,
    before TEXT,
    after  TEXT NOT NULL,
    why    TEXT
);
CREATE INDEX changes_by_job ON changes (job);
CREATE TABLE kept (                      -- files that retention may delete, and no others
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    job          INTEGER NOT NULL,
    lane         TEXT NOT NULL,
    role         TEXT NOT NULL,          -- outputs, archive, failed
    path         BLOB NOT NULL,
    size         INTEGER NOT NULL,
    mtime_ns     INTEGER NOT NULL,
    completed_at REAL NOT NULL,
    UNIQUE (lane, role, path)
);
CREATE TABLE clock (newest REAL NOT NULL);

-- migration: 2
CREATE INDEX jobs_due ON jobs (crashes + interrupted, id) WHERE state IN ('ready', 'failed');

-- migration: 3
ALTER TABLE jobs ADD COLUMN output_role TEXT NOT NULL DEFAULT 'outbox';  -- or review
ALTER TABLE jobs ADD COLUMN companions TEXT NOT NULL DEFAULT '[]';       -- more files, as JSON
CREATE INDEX drops_by_path ON drops (path);

-- migration: 4
CREATE TABLE clocks (                    -- the newest time that a lane's retention went by
    lane   TEXT PRIMARY KEY,
    newest REAL NOT NULL
);
INSERT INTO clocks SELECT DISTINCT kept.lane, clock.newest FROM kept, clock;
DROP TABLE clock;
ALTER TABLE drops ADD COLUMN folded TEXT;  -- the path as names are compared
CREATE INDEX photos_by_name ON drops (folded) WHERE role = 'image';

-- migration: 5
ALTER TABLE clocks ADD COLUMN last REAL;   -- the time that it went by last, which may be earlier
UPDATE clocks SET last = newest;

-- migration: 6
ALTER TABLE jobs ADD COLUMN earlier TEXT;  -- what an earlier try made, until a later one gets through

-- name: add_job
INSERT INTO jobs (lane, task, state, source, name, created_at, updated_at)
VALUES (:lane, :task, :state, :source, :name, :now, :now);

-- name: add_drop
INSERT INTO drops (job, role, path, folded, place, "where", size, mtime_ns, inode, decoded)
VALUES (:job, :role, :path, :folded, 'inbox', :path, :size, :mtime_ns, :inode, :decoded);

-- name: add_change
INSERT INTO changes (job, at, before, after, why) VALUES (:job, :now, :before, :after, :why);

-- name: state_of
SELECT state FROM jobs WHERE id = :job;

-- name: job
SELECT * FROM jobs WHERE id = :job;

-- name: drops_of
SELECT * FROM drops WHERE job = :job ORDER BY id;

-- name: changes_of
SELECT * FROM changes WHERE job = :job ORDER BY rowid;

-- name: jobs_in_states
-- Without those that gave their files up to others: of them nothing is left to tell.
SELECT * FROM jobs WHERE state IN (SELECT value FROM json_each(:states))
AND (state != 'cancelled' OR EXISTS (SELECT 1 FROM drops WHERE drops.job = jobs.id))
AND (:lane IS NULL OR lane = :lane) ORDER BY id DESC LIMIT :limit;

-- name: live_jobs_of_lane
-- What the intake has to compare with the folder: also cancelled jobs whose files still lie there.
SELECT * FROM jobs WHERE lane = :lane
AND (state IN ('waiting', 'ready', 'running', 'published', 'failed')
     OR id IN (SELECT job FROM drops WHERE place = 'inbox' AND role != 'shared_mask'));

-- name: live_drops_of_lane
SELECT * FROM drops WHERE job IN (
    SELECT id FROM jobs WHERE lane = :lane
    AND (state IN ('waiting', 'ready', 'running', 'published', 'failed')
         OR id IN (SELECT job FROM drops WHERE place = 'inbox' AND role != 'shared_mask'))
) ORDER BY id;

-- name: jobs_named
SELECT * FROM jobs WHERE lane = :lane AND id IN (SELECT job FROM drops WHERE path = :path)
ORDER BY id DESC;

-- name: photos_named
-- Photos that are still there, of just that name or with an ending, whatever became of them.
SELECT DISTINCT drops.path FROM drops INDEXED BY photos_by_name JOIN jobs ON jobs.id = drops.job
WHERE drops.role = 'image' AND drops.folded >= :name AND drops.folded < :last
AND (drops.folded = :name OR drops.folded >= :first)
AND drops.place != 'gone' AND jobs.lane = :lane;

-- name: newest_of
-- By the name of a photo that is still there.
SELECT * FROM jobs WHERE lane = :lane AND id IN (
    SELECT job FROM drops WHERE path = :path AND role = 'image' AND place != 'gone'
) ORDER BY id DESC LIMIT 1;

-- name: finished
-- By the time of what is done, of which one day is little; a lane's jobs may be millions.
SELECT * FROM jobs INDEXED BY jobs_done
WHERE state = 'done' AND completed_at >= :since AND completed_at < :until AND lane = :lane
UNION ALL
SELECT * FROM jobs
WHERE lane = :lane AND state = 'published' AND completed_at >= :since AND completed_at < :until
UNION ALL
-- Done again in vain: what was made before stands.
SELECT * FROM jobs WHERE lane = :lane AND state IN ('quarantined', 'cancelled')
AND json_extract(earlier, '$.completed_at') >= :since
AND json_extract(earlier, '$.completed_at') < :until
ORDER BY completed_at, id;

-- name: running
SELECT * FROM jobs WHERE state = 'running' ORDER BY id;

-- name: under_way
-- Jobs that go on from what lies on the disk half written.
SELECT * FROM jobs WHERE state IN ('running', 'published')
OR (state = 'quarantined' AND error_file IS NULL)
OR id IN (SELECT job FROM drops WHERE next_place IS NOT NULL) ORDER BY id;

-- name: jobs_holding
-- By a path outside the inbox: an output, a file beside it, or an original that was moved (of one
-- that was pruned since, the folder is not known any more).
SELECT * FROM jobs WHERE lane = :lane AND (
    (output_role = :role AND output = :path)
    OR id IN (SELECT job FROM drops WHERE "where" = :path AND (
        place = :role OR (place = 'gone' AND :role IN ('archive', 'failed'))))
    OR id IN (SELECT job FROM kept WHERE lane = :lane AND role = :kept AND path = :path)
) ORDER BY id DESC;

-- name: due
-- The next job to start. Jobs that saw a crash go last, so that the others get done. By that index,
-- the first that fits is the answer; else a backlog would be sorted for each of its jobs.
SELECT * FROM jobs INDEXED BY jobs_due
WHERE state IN ('ready', 'failed')
AND (state = 'ready' OR next_attempt_at <= :now OR next_attempt_at > :now + :longest)
AND lane IN (SELECT value FROM json_each(:lanes))
AND id NOT IN (SELECT value FROM json_each(:busy))
ORDER BY crashes + interrupted, id LIMIT 1;

-- name: interrupted
SELECT * FROM jobs WHERE state = 'running'
AND (next_attempt_at IS NULL OR next_attempt_at <= :now OR next_attempt_at > :now + :longest)
AND lane IN (SELECT value FROM json_each(:lanes))
AND id NOT IN (SELECT value FROM json_each(:busy)) ORDER BY id LIMIT 1;

-- name: to_file
-- Jobs whose originals are still to be moved, or whose error text is still to be written.
SELECT * FROM jobs
WHERE (state = 'published'
       OR (state = 'quarantined'
           AND (error_file IS NULL OR id IN (SELECT job FROM drops WHERE next_place IS NOT NULL))))
AND (next_attempt_at IS NULL OR next_attempt_at <= :now OR next_attempt_at > :now + :longest)
AND lane IN (SELECT value FROM json_each(:lanes))
AND id NOT IN (SELECT value FROM json_each(:busy)) ORDER BY id LIMIT 1;

-- name: next_due_at
-- Of jobs in lanes that work; what is due by now is found by the others.
SELECT MIN(next_attempt_at) FROM jobs WHERE next_attempt_at > :now AND (
    (state = 'failed' AND lane IN (SELECT value FROM json_each(:working)))
    OR (state IN ('running', 'published', 'quarantined')
        AND lane IN (SELECT value FROM json_each(:lanes))));

-- name: duplicate
SELECT * FROM jobs WHERE key = :key AND state = 'done' AND id != :job ORDER BY id DESC LIMIT 1;

-- name: counts
SELECT state, COUNT(*) FROM jobs
WHERE state != 'cancelled' OR EXISTS (SELECT 1 FROM drops WHERE drops.job = jobs.id)
GROUP BY state;

-- name: counts_by_lane
SELECT lane, state, COUNT(*) FROM jobs
WHERE state != 'cancelled' OR EXISTS (SELECT 1 FROM drops WHERE drops.job = jobs.id)
GROUP BY lane, state;

-- name: done_since
SELECT COUNT(*) FROM jobs WHERE state = 'done' AND completed_at >= :since;

-- name: set_stat
UPDATE drops SET size = :size, mtime_ns = :mtime_ns, inode = :inode, decoded = :decoded
WHERE id = :drop;

-- name: unsettle
-- Without a size it has not settled; the rest tells whether it will have changed.
UPDATE drops SET size = NULL WHERE job = :job AND place IN ('inbox', 'failed');

-- name: drop_drop
DELETE FROM drops WHERE id = :drop;

-- name: intend_move
UPDATE drops SET next_place = :place, next_where = :where WHERE id = :drop;

-- name: moved
UPDATE drops SET place = :place, "where" = :where, next_place = NULL, next_where = NULL
WHERE id = :drop;

-- name: set_sha256
UPDATE drops SET sha256 = :sha256 WHERE id = :drop;

-- name: keep
INSERT INTO kept (job, lane, role, path, size, mtime_ns, completed_at)
VALUES (:job, :lane, :role, :path, :size, :mtime_ns,
    MAX(:completed_at, COALESCE((SELECT newest FROM clocks WHERE lane = :lane),
                                (SELECT MAX(newest) FROM clocks), 0)))
ON CONFLICT (lane, role, path) DO UPDATE SET job = excluded.job, size = excluded.size,
    mtime_ns = excluded.mtime_ns, completed_at = excluded.completed_at;

-- name: kept_files
-- Only of finished work: what a quarantined job would need for a retry under way stays.
SELECT kept.* FROM kept JOIN jobs ON jobs.id = kept.job
WHERE jobs.state IN ('done', 'quarantined', 'cancelled') AND kept.lane = :lane ORDER BY kept.id;

-- name: kept_of_job
SELECT * FROM kept WHERE job = :job AND role = :role ORDER BY id;

-- name: kept_still
-- Of these files, those that may still be deleted.
SELECT kept.* FROM kept JOIN jobs ON jobs.id = kept.job
WHERE jobs.state IN ('done', 'quarantined', 'cancelled')
AND kept.id IN (SELECT value FROM json_each(:ids)) ORDER BY kept.id;

-- name: keeper
SELECT job FROM kept WHERE lane = :lane AND role = :role AND path = :path;

-- name: forget_kept
DELETE FROM kept WHERE id = :id;

-- name: forget_kept_path
DELETE FROM kept WHERE lane = :lane AND role = :role AND path = :path;

-- name: original_gone
UPDATE drops SET place = 'gone' WHERE job = :job AND place = :place AND "where" = :where;

-- name: root
SELECT * FROM roots WHERE lane = :lane AND role = :role;

-- name: root_at
SELECT * FROM roots WHERE path = :path LIMIT 1;

-- name: roots_of
SELECT * FROM roots WHERE lane = :lane;

-- name: set_root
INSERT INTO roots (lane, role, path, marker) VALUES (:lane, :role, :path, :marker)
ON CONFLICT (lane, role) DO UPDATE SET path = excluded.path, marker = excluded.marker;

-- name: forget_roots
DELETE FROM roots WHERE lane = :lane;

-- name: forget_roots_at
DELETE FROM roots WHERE path = :path;

-- name: newest_clock
SELECT MAX(newest) FROM clocks;

-- name: clock_of
-- A lane that was never pruned goes by the others.
SELECT COALESCE((SELECT last FROM clocks WHERE lane = :lane), (SELECT MAX(newest) FROM clocks));

-- name: newest_clock_of
SELECT newest FROM clocks WHERE lane = :lane;

-- name: set_clock
INSERT INTO clocks (lane, newest, last) VALUES (:lane, :now, :now)
ON CONFLICT (lane) DO UPDATE SET newest = MAX(newest, excluded.newest), last = excluded.last;

-- name: believe_clock
UPDATE clocks SET newest = :now WHERE lane = :lane;

-- name: nothing_from_the_future
UPDATE kept SET completed_at = :now WHERE lane = :lane AND completed_at > :now;
