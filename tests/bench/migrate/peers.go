package main

import (
	"context"
	"database/sql"
	"errors"
	"os"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/postgres"
	_ "github.com/golang-migrate/migrate/v4/source/file"
	"github.com/jackc/pgx/v5"
	tern "github.com/jackc/tern/v2/migrate"
	_ "github.com/lib/pq"
	"github.com/pressly/goose/v3"
)

// peers are what a user would pick instead, by their own libraries, as their
// commands use them. Each runs in a process of its own.
var peers = map[string]func(ctx context.Context, dir, url string) error{
	"goose": func(ctx context.Context, dir, url string) error {
		db, err := sql.Open("postgres", url)
		if err != nil {
			return err
		}
		goose.SetLogger(goose.NopLogger())
		return errors.Join(goose.SetDialect("postgres"), goose.UpContext(ctx, db, dir))
	},
	"golang-migrate": func(_ context.Context, dir, url string) error {
		m, err := migrate.New("file://"+dir, url)
		if err != nil {
			return err
		}
		return m.Up()
	},
	"tern": func(ctx context.Context, dir, url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		m, err := tern.NewMigrator(ctx, conn, "public.tern_version")
		if err != nil {
			return err
		}
		return errors.Join(m.LoadMigrations(os.DirFS(dir)), m.Migrate(ctx))
	},
}
