-- The contested rows, their writers, and the ledger of all committed writes.
-- For MySQL 8.4 and later, and MariaDB 10.11 and later. Every row belongs to one run, so runs never affect each other.
-- The engine is named, because row locks and transactions are part of what is tested.

CREATE TABLE IF NOT EXISTS employee (
  run      VARCHAR(63)  NOT NULL,
  id       INT          NOT NULL,
  email    VARCHAR(254) NOT NULL,              -- the natural key
  version  BIGINT       NOT NULL,
  salary   BIGINT       NOT NULL,
  fence    BIGINT       NOT NULL DEFAULT 0,    -- newest fencing token seen
  last_op  BIGINT       NOT NULL DEFAULT 0,    -- the operation that wrote the row last
  PRIMARY KEY (run, id),
  UNIQUE KEY (run, email)
) ENGINE = InnoDB;

-- One loop of one worker. Its id is the upper part of the id of each of its operations.
CREATE TABLE IF NOT EXISTS writer (
  id         BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
  run        VARCHAR(63) NOT NULL,
  worker     INT         NOT NULL,             -- index in the fleet
  loop_index INT         NOT NULL,
  uid        VARCHAR(63) NOT NULL,             -- of the pod or process
  node       VARCHAR(63) NOT NULL,
  KEY (run)
) ENGINE = InnoDB;

-- Raises that wait to be applied: the queue of the skip-locked strategy. A raise is removed in the transaction that
-- applies it.
CREATE TABLE IF NOT EXISTS pending (
  run         VARCHAR(63) NOT NULL,
  op          BIGINT      NOT NULL,
  employee_id INT         NOT NULL,
  raise       BIGINT      NOT NULL,
  PRIMARY KEY (run, op)
) ENGINE = InnoDB;

-- One row for each committed mutation, written in the same transaction while the row lock is held. new_version,
-- as counted under that lock, is the serial order of the writes to an employee: servers that assign seq in blocks
-- give a later write a smaller one. There are no unique keys but seq: the ledger must record a broken chain, or an
-- operation that was applied twice, not prevent it.
CREATE TABLE IF NOT EXISTS ledger (
  seq          BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
  run          VARCHAR(63) NOT NULL,
  employee_id  INT         NOT NULL,
  op           BIGINT      NOT NULL,
  read_op      BIGINT      NOT NULL,           -- last_op at the time of the read
  read_version BIGINT      NOT NULL,
  new_version  BIGINT      NOT NULL,
  read_salary  BIGINT      NOT NULL,
  new_salary   BIGINT      NOT NULL,
  raise        BIGINT      NOT NULL,
  fence        BIGINT      NOT NULL,           -- token that the writer held; 0 for none
  read_at      DATETIME(6) NOT NULL,           -- time of the read, by the database's clock
  written_at   DATETIME(6) NOT NULL,           -- time of the write, before the COMMIT, by the database's clock
  KEY (run, op),
  KEY (run, seq)
) ENGINE = InnoDB;
