package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

const postgresPrograms = "/usr/lib/postgresql/15/bin/"

// startPostgres starts a bare PostgreSQL 15 beside the cluster.
func (c *Cluster) startPostgres(ctx context.Context) error {
	account, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("finding the user of Debian's postgresql-15: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	data, password := "/var/lib/lab-postgres", rand.Text()
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := os.Chown(data, int(uid), int(uid)); err != nil {
		return err
	}
	secret := filepath.Join(data, "password")
	if err := os.WriteFile(secret, []byte(password), 0o600); err != nil {
		return err
	}
	if err := os.Chown(secret, int(uid), int(uid)); err != nil {
		return err
	}
	create := exec.CommandContext(ctx, postgresPrograms+"initdb", "-D", filepath.Join(data, "main"), "-U", "postgres", "-A", "scram-sha-256",
		"--pwfile", secret, "--no-sync")
	create.Dir = data
	create.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if out, err := create.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	// With mmap, a server that is killed leaves nothing in /dev/shm.
	p := &process{name: "postgres", path: postgresPrograms + "postgres", user: uint32(uid), logs: c.logs,
		arguments: []string{"-D", filepath.Join(data, "main"), "-c", "listen_addresses=" + NodeAddress, "-c", "unix_socket_directories=", "-c",
			"fsync=off", "-c", "dynamic_shared_memory_type=mmap"}}
	if err := c.launch(p); err != nil {
		return err
	}
	for name, value := range map[string]string{"PGHOST": NodeAddress, "PGPORT": "5432", "PGUSER": "postgres", "PGPASSWORD": password,
		"PGDATABASE": "postgres", "PGSSLMODE": "disable"} {
		c.setenv(name, value)
	}
	return p.until(ctx, func(ctx context.Context) error {
		return exec.CommandContext(ctx, postgresPrograms+"pg_isready", "-h", NodeAddress).Run()
	})
}
