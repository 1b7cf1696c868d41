-- Tables of grype's databases of schema 6.1, as its source declares them, and rows that have every case once.
CREATE TABLE blobs (id integer PRIMARY KEY AUTOINCREMENT, value text NOT NULL);
CREATE TABLE db_metadata (build_timestamp datetime NOT NULL, model integer NOT NULL, revision integer NOT NULL, addition integer NOT NULL);
CREATE TABLE providers (id text, version text, processor text, date_captured datetime, input_digest text, PRIMARY KEY (id));
CREATE TABLE vulnerability_handles (id integer PRIMARY KEY AUTOINCREMENT, name text NOT NULL, status text NOT NULL, published_date datetime, modified_date datetime, withdrawn_date datetime, provider_id text NOT NULL, blob_id integer, CONSTRAINT fk_vulnerability_handles_provider FOREIGN KEY (provider_id) REFERENCES providers(id));
CREATE TABLE vulnerability_aliases (name text, alias text NOT NULL, PRIMARY KEY (name, alias));
CREATE TABLE packages (id integer PRIMARY KEY AUTOINCREMENT, ecosystem text, name text);
CREATE TABLE operating_systems (id integer PRIMARY KEY AUTOINCREMENT, name text, release_id text, major_version text, minor_version text, label_version text, codename text, channel text, eol_date datetime, eoas_date datetime);
CREATE TABLE affected_package_handles (id integer PRIMARY KEY AUTOINCREMENT, vulnerability_id integer NOT NULL, operating_system_id integer, package_id integer, blob_id integer);
CREATE TABLE unaffected_package_handles (id integer PRIMARY KEY AUTOINCREMENT, vulnerability_id integer NOT NULL, operating_system_id integer, package_id integer, blob_id integer);
CREATE TABLE cpes (id integer PRIMARY KEY AUTOINCREMENT, part text NOT NULL, vendor text, product text NOT NULL, edition text, language text, software_edition text, target_hardware text, target_software text, other text);
CREATE TABLE affected_cpe_handles (id integer PRIMARY KEY AUTOINCREMENT, vulnerability_id integer NOT NULL, cpe_id integer, blob_id integer);
CREATE TABLE known_exploited_vulnerability_handles (id integer PRIMARY KEY AUTOINCREMENT, cve text NOT NULL, blob_id integer);
CREATE TABLE epss_handles (id integer PRIMARY KEY AUTOINCREMENT, cve text NOT NULL, epss real NOT NULL, percentile real NOT NULL);
CREATE TABLE epss_metadata (date datetime NOT NULL);

INSERT INTO db_metadata VALUES ('2026-07-20 04:12:33+00:00', 6, 1, 9);
INSERT INTO providers (id, version, processor, date_captured) VALUES ('debian', '1', 'vunnel', '2026-07-20 01:00:00+00:00'), ('github', '1', 'vunnel', '2026-07-20 01:00:00+00:00'), ('nvd', '2', 'vunnel', '2026-07-20 01:00:00+00:00'), ('rhel', '1', 'vunnel', '2026-07-20 01:00:00+00:00'), ('ubuntu', '3', 'vunnel', '2026-07-20 01:00:00+00:00');
INSERT INTO operating_systems (id, name, release_id, major_version, minor_version, label_version, codename, channel) VALUES
  (1, 'debian', 'debian', '12', '', '', 'bookworm', ''), (2, 'debian', 'debian', '11', '', '', 'bullseye', ''), (3, 'debian', 'debian', '', '', 'unstable', 'sid', ''),
  (4, 'ubuntu', 'ubuntu', '22', '4', '', 'jammy', ''), (5, 'redhat', 'rhel', '9', '', '', '', ''), (6, 'redhat', 'rhel', '9', '2', '', '', ''), (7, 'redhat', 'rhel', '9', '2', '', '', 'eus'),
  (8, 'windows', 'windows', '11', '', '', '', '');
INSERT INTO packages (id, ecosystem, name) VALUES (1, 'deb', 'openssl'), (2, 'java-archive', 'org.apache.logging.log4j:log4j-core'), (3, 'rpm', 'openssl'), (4, 'npm', 'left-pad'), (5, 'msrc-kb', '11568'), (6, 'rpm', 'nodejs'), (7, 'deb', 'zlib');

INSERT INTO blobs (id, value) VALUES
  (1, '{"id":"CVE-2026-0001","description":"A hole in openssl.\nMore of it.","refs":[{"url":"https://security-tracker.debian.org/tracker/CVE-2026-0001"}],"severities":[{"scheme":"CHMLN","value":"high","rank":1}]}'),
  (2, '{"ranges":[{"version":{"type":"dpkg","constraint":"< 3.0.11-1~deb12u2"},"fix":{"version":"3.0.11-1~deb12u2","state":"fixed"}}]}'),
  (3, '{"ranges":[{"version":{"type":"dpkg","constraint":""},"fix":{"state":"not-fixed"}}]}'),
  (4, '{"id":"GHSA-jfh8-c2jp-5v3q","description":"Remote code injection in Log4j","aliases":["CVE-2021-44228"],"severities":[{"scheme":"CHML","value":"critical"},{"scheme":"CVSS","value":{"vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H","version":"3.1"}}]}'),
  (5, '{"cves":["CVE-2021-44228"],"ranges":[{"version":{"type":"maven","constraint":">=2.13.0,<2.15.0"},"fix":{"version":"2.15.0","state":"fixed"}}]}'),
  (6, '{"cves":["CVE-2021-44228"],"ranges":[{"version":{"type":"maven","constraint":">=2.0-beta9,<=2.3.0 || =2.12.0"},"fix":{"version":"2.3.1","state":"fixed"}}]}'),
  (7, '{"id":"CVE-2026-0002","severities":[{"scheme":"CHMLN","value":"medium","rank":1},{"scheme":"CVSS","value":{"vector":"AV:N/AC:L/Au:N/C:P/I:P/A:P","version":"2.0"},"rank":2}]}'),
  (8, '{"qualifiers":{"rpm_modularity":""},"ranges":[{"version":{"type":"rpm","constraint":"< 1:3.0.7-25.el9_3"},"fix":{"version":"1:3.0.7-25.el9_3","state":"fixed"}}]}'),
  (9, '{"qualifiers":{"rpm_modularity":"nodejs:18"},"ranges":[{"version":{"type":"rpm","constraint":"< 1:18.19.0-1.module+el9"},"fix":{"version":"1:18.19.0-1.module+el9","state":"fixed"}}]}'),
  (10, '{"id":"CVE-2026-0003"}'),
  (11, '{"id":"GHSA-gone-gone-gone","description":"Withdrawn","severities":[{"scheme":"CHML","value":"low"}]}'),
  (12, '{"ranges":[{"version":{"type":"npm","constraint":"<1.3.0"},"fix":{"version":"1.3.0","state":"fixed"}}]}'),
  (13, '{"cve":"CVE-2021-44228","date_added":"2021-12-10T00:00:00Z","due_date":"2021-12-24","known_ransomware_campaign_use":"Known"}'),
  (14, '{"ranges":[{"version":{"type":"dpkg","constraint":"< 0"},"fix":{"version":"0","state":"not-affected"}}]}'),
  (15, '{"ranges":[{"version":{"type":"dpkg","constraint":""},"fix":{"state":"not-affected"}}]}'),
  (16, '{"qualifiers":{"platform_cpes":["cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*"]},"ranges":[{"version":{"type":"semver","constraint":"<9"}}]}'),
  (17, '{"id":"CVE-2026-0001","description":"A hole in openssl (bullseye).","severities":[{"scheme":"CHMLN","value":"low","rank":1}]}');

INSERT INTO vulnerability_handles (id, name, status, published_date, modified_date, withdrawn_date, provider_id, blob_id) VALUES
  (1, 'CVE-2026-0001', 'active', '2026-01-02 00:00:00+00:00', '2026-01-03 00:00:00+00:00', NULL, 'debian', 1),
  (2, 'GHSA-jfh8-c2jp-5v3q', 'active', '2021-12-10 00:40:56+00:00', '2025-05-09 13:13:16+00:00', NULL, 'github', 4),
  (3, 'CVE-2026-0002', 'active', NULL, NULL, NULL, 'rhel', 7),
  (4, 'CVE-2026-0003', 'analyzing', NULL, NULL, NULL, 'nvd', 10),
  (5, 'GHSA-gone-gone-gone', 'rejected', '2024-01-01 00:00:00+00:00', '2024-02-01 00:00:00+00:00', NULL, 'github', 11),
  (6, 'CVE-2026-0001', 'active', '2026-01-02 00:00:00+00:00', '2026-02-03 00:00:00+00:00', NULL, 'debian', 17),
  (7, 'CVE-2026-0001', 'active', NULL, NULL, NULL, 'ubuntu', 1),
  (8, 'CVE-2026-0004', 'active', NULL, NULL, NULL, 'nvd', 10);

INSERT INTO affected_package_handles (vulnerability_id, operating_system_id, package_id, blob_id) VALUES
  (1, 1, 1, 2), (6, 2, 1, 3), (6, 3, 1, 14), (6, 2, 7, 3), (7, 4, 1, 2),
  (2, NULL, 2, 5), (2, NULL, 2, 6), (5, NULL, 4, 12),
  (3, 5, 3, 8), (3, 6, 3, 8), (3, 7, 3, 8), (3, 5, 6, 9), (3, 8, 5, 12), (8, NULL, 4, 16), (8, NULL, 5, 12);
INSERT INTO unaffected_package_handles (vulnerability_id, operating_system_id, package_id, blob_id) VALUES (6, 2, 7, 15);
INSERT INTO cpes (id, part, vendor, product) VALUES (1, 'a', 'acme', 'thing');
INSERT INTO affected_cpe_handles (vulnerability_id, cpe_id, blob_id) VALUES (4, 1, 12);
INSERT INTO known_exploited_vulnerability_handles (cve, blob_id) VALUES ('CVE-2021-44228', 13);
INSERT INTO epss_handles (cve, epss, percentile) VALUES ('CVE-2021-44228', 0.94358, 0.99957), ('CVE-2026-0001', 0.001, 0.2);
INSERT INTO epss_metadata VALUES ('2026-07-19 00:00:00+00:00');
