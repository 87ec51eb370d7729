BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('55c8e74b-d59b-4ca3-96af-301c511789a2','1',1795899125000,1795899125000,'cadnode');
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
INSERT INTO "operation_outputs" VALUES('c0b5d639-ff27-4734-b2f0-1d0a373b8495',1,'fingerprint','"854122ca1f63cba0"',NULL,NULL,1795899126429,1795899126442,'cadnode_json','cadnode',1795899126000);
INSERT INTO "operation_outputs" VALUES('c0b5d639-ff27-4734-b2f0-1d0a373b8495',2,'process',NULL,NULL,'process-8b400fd6df1706cd-854122ca1f63cba0-0',1795899126447,1795899126450,NULL,'cadnode',1795899126000);
INSERT INTO "operation_outputs" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0',1,'read','true',NULL,NULL,1795899126684,1795899130729,'cadnode_json','cadnode',1795899130000);
INSERT INTO "operation_outputs" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0',2,'predecessor','""',NULL,NULL,1795899130733,1795899130734,'cadnode_json','cadnode',1795899130000);
INSERT INTO "operation_outputs" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0',3,'now','"2026-11-28T20:52:10.737433+00:00"',NULL,NULL,1795899130736,1795899130737,'cadnode_json','cadnode',1795899130000);
INSERT INTO "operation_outputs" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0',4,'report','2',NULL,NULL,1795899130739,1795899131953,'cadnode_json','cadnode',1795899131000);
INSERT INTO "operation_outputs" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0',5,'deliver',NULL,NULL,'deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder',1795899131955,1795899131958,NULL,'cadnode',1795899131000);
INSERT INTO "operation_outputs" VALUES('deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder',1,'deliver','"delivered"',NULL,NULL,1795899132053,1795899132058,'cadnode_json','cadnode',1795899132000);
INSERT INTO "operation_outputs" VALUES('deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder',2,'shadow',NULL,NULL,'shadow-8b400fd6df1706cd-854122ca1f63cba0-0',1795899132061,1795899132065,NULL,'cadnode',1795899132000);
INSERT INTO "operation_outputs" VALUES('shadow-8b400fd6df1706cd-854122ca1f63cba0-0',1,'shadow','"off"',NULL,NULL,1795899132465,1795899132469,'cadnode_json','cadnode',1795899132000);
INSERT INTO "operation_outputs" VALUES('46947924-a44e-40dc-9a19-c9ca52225696',1,'fingerprint','"abfd59debeea49bd"',NULL,NULL,1795899133591,1795899133598,'cadnode_json','cadnode',1795899133000);
INSERT INTO "operation_outputs" VALUES('46947924-a44e-40dc-9a19-c9ca52225696',2,'process',NULL,NULL,'process-16b4689b55e19ae5-abfd59debeea49bd-0',1795899133603,1795899133605,NULL,'cadnode',1795899133000);
INSERT INTO "operation_outputs" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0',1,'read','true',NULL,NULL,1795899133774,1795899138056,'cadnode_json','cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0',2,'predecessor','""',NULL,NULL,1795899138059,1795899138061,'cadnode_json','cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0',3,'now','"2026-11-28T20:52:18.064583+00:00"',NULL,NULL,1795899138063,1795899138064,'cadnode_json','cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0',4,'report','2',NULL,NULL,1795899138066,1795899138693,'cadnode_json','cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0',5,'deliver',NULL,NULL,'deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',1795899138697,1795899138699,NULL,'cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',1,'deliver','"retry"',NULL,NULL,1795899138785,1795899138790,'cadnode_json','cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',2,'DBOS.sleep','1795899140.7944617',NULL,NULL,1795899138793,1795899140794,'portable_json','cadnode',1795899138000);
INSERT INTO "operation_outputs" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',3,'deliver','"retry"',NULL,NULL,1795899140794,1795899140796,'cadnode_json','cadnode',1795899140000);
INSERT INTO "operation_outputs" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',4,'DBOS.sleep','1795899144.8005931',NULL,NULL,1795899140799,1795899144800,'portable_json','cadnode',1795899140000);
INSERT INTO "operation_outputs" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',5,'deliver','"retry"',NULL,NULL,1795899144800,1795899144802,'cadnode_json','cadnode',1795899144000);
INSERT INTO "operation_outputs" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder',6,'DBOS.sleep','1795899152.8063219',NULL,NULL,1795899144805,1795899152806,'portable_json','cadnode',1795899144000);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('45EB99C28DDA7F3B7F14B34243CA4600','fetches',NULL,2,NULL,NULL,1,0,0.25,1795899125000,1795899125151,'cadnode',NULL,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('2EB8E1C86AEFCA0A965C21BE49C60F6D','arrivals',NULL,4,NULL,NULL,1,0,0.25,1795899125000,1795899125168,'cadnode',NULL,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('641A035616045418DFA0DD10C8EACC57','studies',NULL,1,NULL,NULL,1,0,0.25,1795899125000,1795899125174,'cadnode',NULL,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('A345A20C14056F1FE4827AA8A2396690','shadows',NULL,1,NULL,NULL,1,0,1.0,1795899125000,1795899125179,'cadnode',NULL,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('A344466FECDCC48076270F784C991A8A','deliver-archive-folder',NULL,2,NULL,NULL,1,0,0.25,1795899125000,1795899125185,'cadnode',NULL,NULL,NULL,NULL);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('c0b5d639-ff27-4734-b2f0-1d0a373b8495','{"args": ["8b400fd6df1706cd"], "kwargs": {}}',1795899116000);
INSERT INTO "workflow_input" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0','{"args": ["8b400fd6df1706cd", "854122ca1f63cba0", 0], "kwargs": {}}',1795899126000);
INSERT INTO "workflow_input" VALUES('deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder','{"args": ["8b400fd6df1706cd", "854122ca1f63cba0", "archive-folder", 259200.0], "kwargs": {}}',1795899131000);
INSERT INTO "workflow_input" VALUES('shadow-8b400fd6df1706cd-854122ca1f63cba0-0','{"args": ["8b400fd6df1706cd", "854122ca1f63cba0", 0], "kwargs": {}}',1795899132000);
INSERT INTO "workflow_input" VALUES('46947924-a44e-40dc-9a19-c9ca52225696','{"args": ["16b4689b55e19ae5"], "kwargs": {}}',1795899132000);
INSERT INTO "workflow_input" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0','{"args": ["16b4689b55e19ae5", "abfd59debeea49bd", 0], "kwargs": {}}',1795899133000);
INSERT INTO "workflow_input" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder','{"args": ["16b4689b55e19ae5", "abfd59debeea49bd", "archive-folder", 259200.0], "kwargs": {}}',1795899138000);
INSERT INTO "workflow_input" VALUES('00489c71-e2d7-42f0-a539-f1331fcbe092','{"args": ["c33f06836e3ea9c4"], "kwargs": {}}',1795899160000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('c0b5d639-ff27-4734-b2f0-1d0a373b8495','"854122ca1f63cba0"',NULL,1795899126000);
INSERT INTO "workflow_output" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0','"reported"',NULL,1795899131000);
INSERT INTO "workflow_output" VALUES('deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder','"delivered"',NULL,1795899132000);
INSERT INTO "workflow_output" VALUES('shadow-8b400fd6df1706cd-854122ca1f63cba0-0','"off"',NULL,1795899132000);
INSERT INTO "workflow_output" VALUES('46947924-a44e-40dc-9a19-c9ca52225696','"abfd59debeea49bd"',NULL,1795899133000);
INSERT INTO "workflow_output" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0','"reported"',NULL,1795899138000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('c0b5d639-ff27-4734-b2f0-1d0a373b8495','SUCCESS','consider',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899116000,1795899126000,'1',NULL,NULL,NULL,1,'arrivals',NULL,NULL,NULL,1795899126000,NULL,0,NULL,NULL,NULL,NULL,'cadnode_json',1795899116190,0,0,1795899126000,'null',NULL,NULL,1,'cadnode',NULL);
INSERT INTO "workflow_status" VALUES('process-8b400fd6df1706cd-854122ca1f63cba0-0','SUCCESS','process',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899126000,1795899131000,'1','',NULL,NULL,1,'studies',NULL,NULL,NULL,1795899126000,NULL,0,NULL,NULL,NULL,'c0b5d639-ff27-4734-b2f0-1d0a373b8495','cadnode_json',NULL,0,0,1795899131000,'null',NULL,NULL,0,'cadnode','bcc9bd24-8aac-4d35-a077-cc95ad35c95e');
INSERT INTO "workflow_status" VALUES('deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder','SUCCESS','deliver',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899131000,1795899132000,'1','',NULL,NULL,1,'deliver-archive-folder',NULL,NULL,NULL,1795899132000,NULL,0,NULL,NULL,NULL,'process-8b400fd6df1706cd-854122ca1f63cba0-0','cadnode_json',NULL,0,0,1795899132000,'null',NULL,NULL,0,'cadnode','8a0a014d-6deb-4350-adb9-e3dd7d5c08d9');
INSERT INTO "workflow_status" VALUES('shadow-8b400fd6df1706cd-854122ca1f63cba0-0','SUCCESS','shadow',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899132000,1795899132000,'1','',NULL,NULL,1,'shadows',NULL,NULL,NULL,1795899132000,NULL,0,NULL,NULL,NULL,'deliver-8b400fd6df1706cd-854122ca1f63cba0-archive-folder','cadnode_json',NULL,0,0,1795899132000,'null',NULL,NULL,0,'cadnode','3161c5a1-fbb3-4e2b-be73-fccd3591de3b');
INSERT INTO "workflow_status" VALUES('46947924-a44e-40dc-9a19-c9ca52225696','SUCCESS','consider',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899132000,1795899133000,'1',NULL,NULL,NULL,1,'arrivals',NULL,NULL,NULL,1795899133000,NULL,0,NULL,NULL,NULL,NULL,'cadnode_json',1795899132751,0,0,1795899133000,'null',NULL,NULL,1,'cadnode',NULL);
INSERT INTO "workflow_status" VALUES('process-16b4689b55e19ae5-abfd59debeea49bd-0','SUCCESS','process',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899133000,1795899138000,'1','',NULL,NULL,1,'studies',NULL,NULL,NULL,1795899133000,NULL,0,NULL,NULL,NULL,'46947924-a44e-40dc-9a19-c9ca52225696','cadnode_json',NULL,0,0,1795899138000,'null',NULL,NULL,0,'cadnode','42342bb1-e040-4a48-8c6f-93aa20c36a97');
INSERT INTO "workflow_status" VALUES('deliver-16b4689b55e19ae5-abfd59debeea49bd-archive-folder','PENDING','deliver',NULL,NULL,NULL,NULL,NULL,NULL,'worker',1795899138000,1795899138000,'1','',NULL,NULL,1,'deliver-archive-folder',NULL,NULL,NULL,1795899138000,NULL,0,NULL,NULL,'d5fcb6ed-3fc1-4923-84a9-779d85c7165c','process-16b4689b55e19ae5-abfd59debeea49bd-0','cadnode_json',NULL,0,0,NULL,'null',NULL,NULL,0,'cadnode','f168a55b-7220-4041-8919-2e299a013cd3');
INSERT INTO "workflow_status" VALUES('00489c71-e2d7-42f0-a539-f1331fcbe092','DELAYED','consider',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1795899160000,1795899160000,NULL,NULL,NULL,NULL,0,'arrivals',NULL,NULL,NULL,NULL,'consider-c33f06836e3ea9c4',0,NULL,NULL,NULL,NULL,'cadnode_json',1795985560133,0,0,NULL,'null',NULL,NULL,1,'cadnode',NULL);
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;
