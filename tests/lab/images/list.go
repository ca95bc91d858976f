package images

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"slipway.dev/slipway/tests/lab/pins"
)

// applets of busybox that a shell of Kaniko's and Trivy's images finds.
const applets = `sh cat sleep ls mkdir cp mv rm chmod grep sed awk env ps kill tee head tail true id touch date test echo pwd printf
	tr wc find tar chown which sort cut`

// StandIn is what the lab has in the place of jenkins/inbound-agent.
const StandIn = "lab/stand-in-for-inbound-agent:1"

const path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"

// images are all of them. What the field calls docker.io/library/postgres:15 is
// library/postgres:15 in the mirror. Those of pins.yaml have the names that stand there.
func (in Input) images(names map[string]pins.Pin) []image {
	pinned := func(key string) []string { return []string{names[key].Mirrored()} }
	var ground v1.Layer // shared, so that a node unpacks it once
	base := func() (v1.Layer, error) {
		var err error
		if ground == nil {
			ground, err = layer(system(in.dir("systems", "python-2"), ""))
		}
		return ground, err
	}
	onGround := func(config v1.Config, trees ...tree) func(context.Context) (v1.Image, error) {
		return func(context.Context) (v1.Image, error) {
			below, err := base()
			if err != nil {
				return nil, err
			}
			return assemble(config, []v1.Layer{below}, trees...)
		}
	}
	alone := func(config v1.Config, trees ...tree) func(context.Context) (v1.Image, error) {
		return func(context.Context) (v1.Image, error) { return assemble(config, nil, trees...) }
	}
	busybox := in.dir("systems", "python-2", "bin", "busybox")
	shell := func(dir string) tree {
		return func(out *tar.Writer) error {
			if err := program(dir+"/busybox", busybox)(out); err != nil {
				return err
			}
			for _, name := range strings.Fields(applets) {
				if err := link(dir+"/"+name, "busybox")(out); err != nil {
					return err
				}
			}
			return in.compiled("nohup", dir+"/nohup")(out)
		}
	}
	certificates := program("etc/ssl/certs/ca-certificates.crt", in.dir("systems", "python-2", "etc/ssl/certs/ca-certificates.crt"))
	agent := onGround(v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"AGENT_WORKDIR=/home/jenkins/agent", "HOME=/home/jenkins", "LANG=C.UTF-8"}, User: "1000:1000", WorkingDir: "/home/jenkins",
		Entrypoint: []string{"/usr/local/bin/jenkins-agent"}},
		folder("home/jenkins", 0o755, 1000), folder("home/jenkins/agent", 0o755, 1000), folder("home/jenkins/.jenkins", 0o755, 1000),
		text("usr/local/bin/jenkins-agent", 0o755, idleAgent),
		text("etc/passwd", 0o644,
			"root:x:0:0:root:/root:/bin/bash\njenkins:x:1000:1000::/home/jenkins:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
		text("etc/group", 0o644, "root:x:0:\njenkins:x:1000:\nnogroup:x:65534:\n"))
	kaniko, trivy, nohup := in.Programs["kaniko"], in.Programs["trivy"], filepath.Join(in.Source, "images", "nohup", "main.go")
	return []image{
		{
			names: []string{"pause:3.10"}, version: 2, files: []string{filepath.Join(in.Source, "images", "pause", "main.go")},
			make: alone(v1.Config{Entrypoint: []string{"/pause"}, User: "65535"}, in.compiled("pause", "pause")),
		},
		{
			names: pinned("python"), version: 2, files: []string{in.dir("pip")},
			make: onGround(v1.Config{Env: []string{path, "LANG=C.UTF-8"}, Cmd: []string{"python3"}},
				system(in.dir("pip"), ""),
				text("usr/local/bin/pip", 0o755, "#!/usr/bin/python3.11\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"),
				link("usr/local/bin/python3", "/usr/bin/python3.11"), link("usr/local/bin/python", "/usr/bin/python3.11")),
		},
		{
			names: pinned("postgres"), version: 1, files: []string{filepath.Join(in.Source, "images", "postgres-entrypoint.sh")},
			make: func(ctx context.Context) (v1.Image, error) {
				below, err := base()
				if err != nil {
					return nil, err
				}
				more, err := layer(system(in.dir("systems", "postgres-2"), in.dir("systems", "python-2")))
				if err != nil {
					return nil, err
				}
				return assemble(v1.Config{
					Env: []string{"PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
						"PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"},
					Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"postgres"},
					Volumes: map[string]struct{}{"/var/lib/postgresql/data": {}}, StopSignal: "SIGINT",
				}, []v1.Layer{below, more},
					program("usr/local/bin/docker-entrypoint.sh", filepath.Join(in.Source, "images", "postgres-entrypoint.sh")),
					program("etc/passwd", filepath.Join(in.Source, "images", "postgres-passwd")),
					program("etc/group", filepath.Join(in.Source, "images", "postgres-group")),
					folder("var/lib/postgresql", 0o755, 999), folder("var/lib/postgresql/data", 0o700, 999), folder("var/run/postgresql", 0o777, 999))
			},
		},
		{
			names: pinned("postgres-exporter"), version: 1,
			make: func(ctx context.Context) (v1.Image, error) {
				files, err := in.unpacked(ctx, "prometheus-postgres-exporter")
				if err != nil {
					return nil, err
				}
				return onGround(v1.Config{Env: []string{path}, User: "65534:65534", Entrypoint: []string{"/bin/postgres_exporter"}},
					program("bin/postgres_exporter", filepath.Join(files, "usr/bin/prometheus-postgres-exporter")))(ctx)
			},
		},
		{
			// It has no remoting, and so it has not the name of the field's: only the lab's own agents stand on it.
			names: []string{StandIn}, version: 1,
			make: agent,
		},
		{
			// The name in the pods of the cases whose answers the runner is measured against.
			names: []string{"jenkins/inbound-agent:3192.v713e3b_039fb_e-1"}, version: 1,
			make: agent,
		},
		{
			names: pinned("kaniko"), version: 2, files: []string{kaniko, nohup},
			make: alone(v1.Config{Env: []string{"PATH=/usr/local/bin:/kaniko:/busybox", "HOME=/root", "USER=root", "SSL_CERT_DIR=/kaniko/ssl/certs",
				"DOCKER_CONFIG=/kaniko/.docker/"}, WorkingDir: "/workspace", Entrypoint: []string{"/kaniko/executor"}},
				program("kaniko/executor", kaniko), shell("busybox"), folder("kaniko/.docker", 0o755, 0), folder("workspace", 0o777, 0),
				// A shell at the place where Jenkins looks for one.
				link("bin/sh", "/busybox/sh"),
				program("kaniko/ssl/certs/ca-certificates.crt", in.dir("systems", "python-2", "etc/ssl/certs/ca-certificates.crt"))),
		},
		{
			// Debian's buildah under the name of the field's.
			names: pinned("buildah"), version: 3,
			make: func(ctx context.Context) (v1.Image, error) {
				var trees []tree
				const libraries = "usr/lib/x86_64-linux-gnu/"
				for _, each := range []struct{ pack, file, as string }{
					{"buildah", "usr/bin/buildah", "usr/bin/buildah"},
					{"libgpgme11", libraries + "libgpgme.so.11", libraries + "libgpgme.so.11"},
					{"libassuan0", libraries + "libassuan.so.0", libraries + "libassuan.so.0"},
					{"libdevmapper1.02.1", "lib/x86_64-linux-gnu/libdevmapper.so.1.02.1", libraries + "libdevmapper.so.1.02.1"},
				} {
					files, err := in.unpacked(ctx, each.pack)
					if err != nil {
						return nil, err
					}
					trees = append(trees, program(each.as, filepath.Join(files, each.file)))
				}
				trees = append(trees, text("etc/containers/policy.json", 0o644, `{"default": [{"type": "insecureAcceptAnything"}]}`))
				return onGround(v1.Config{Env: []string{path, "HOME=/root"}, Cmd: []string{"/bin/bash"}}, trees...)(ctx)
			},
		},
		{
			names: pinned("trivy"), version: 2, files: []string{trivy, nohup},
			make: alone(v1.Config{Env: []string{"PATH=/usr/local/bin:/bin"}, Entrypoint: []string{"trivy"}},
				program("usr/local/bin/trivy", trivy), shell("bin"), certificates, folder("tmp", 0o1777, 0), folder("root", 0o755, 0)),
		},
		{
			names: []string{"library/tool:1"}, version: 2,
			make: onGround(v1.Config{Cmd: []string{"sh"}}, text("etc/tool", 0o644, "a tool's image\n")),
		},
		{
			names: []string{"library/noshell:1"}, version: 2,
			make: alone(v1.Config{Entrypoint: []string{"/sleep", "infinity"}}, program("sleep", busybox)),
		},
		{
			names: pinned("trivy-db"), version: 2, today: true, files: []string{filepath.Join(in.Source, "images", "advisories.json")},
			make: func(context.Context) (v1.Image, error) {
				return trivyDatabase(filepath.Join(in.Source, "images", "advisories.json"))
			},
		},
		{names: pinned("trivy-java-db"), version: 1, today: true, make: trivyJavaDatabase},
	}
}

// compiled is a program of this folder's, built without C.
func (in Input) compiled(name, to string) tree {
	return func(out *tar.Writer) error {
		dir, err := os.MkdirTemp("", name)
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir, "./images/"+name)
		build.Dir, build.Env = in.Source, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w: %s", name, err, out)
		}
		return program(to, filepath.Join(dir, name))(out)
	}
}

// The lab's agent container only has to be there: the runner speaks to it as
// kubectl exec does, where Jenkins' remoting would.
const idleAgent = `#!/bin/sh
echo "this is the lab's stand-in for jenkins/inbound-agent, without Jenkins' remoting: no Jenkins can use it; make image builds the real one" >&2
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
`

// assemble adds the trees as the last layer, above the layers that are given.
func assemble(config v1.Config, below []v1.Layer, trees ...tree) (v1.Image, error) {
	own, err := layer(trees...)
	if err != nil {
		return nil, err
	}
	made, err := mutate.AppendLayers(empty.Image, append(below, own)...)
	if err != nil {
		return nil, err
	}
	file, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	return mutate.ConfigFile(made, file)
}
