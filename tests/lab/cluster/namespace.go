package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What is where inside the lab's network namespace.
const (
	NodeAddress     = "172.31.255.1"
	RegistryAddress = "10.10.70.84" // the field's registry, which the manifests name
	podNetwork      = "10.244.0.0/16"
	serviceNetwork  = "10.96.0.0/16"
)

// isolate makes the mounts and the network that the lab's programs live in.
// It runs as the first process of new pid, mount, net, cgroup, uts and ipc namespaces.
func isolate(run string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	// The kubelet, the CNI plugins and the runtime keep things under /var whatever they are told.
	upper, work := filepath.Join(run, "var"), filepath.Join(run, "var.work")
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("overlay", "/var", "overlay", 0, "lowerdir=/var,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("laying the run's own /var over the machine's: %w", err)
	}
	files := map[string]string{
		"/etc/resolv.conf": "nameserver " + NodeAddress + "\noptions ndots:1\n",
		"/etc/hosts":       "127.0.0.1 localhost\n" + NodeAddress + " node1\n",
	}
	for path, body := range files {
		own := filepath.Join(run, filepath.Base(path))
		if err := os.WriteFile(own, []byte(body), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("putting the run's own %s in place: %w", path, err)
		}
	}
	if err := unix.Sethostname([]byte("node1")); err != nil {
		return fmt.Errorf("naming the host: %w", err)
	}
	for _, line := range []string{
		"link set lo up",
		"link add lab0 type bridge",
		"addr add " + NodeAddress + "/24 dev lab0",
		"addr add " + RegistryAddress + "/32 dev lab0",
		"link set lab0 up",
		"route add default dev lab0",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

const cgroups = "/sys/fs/cgroup"

// CreateCgroup makes the run's own cgroup in every hierarchy.
func CreateCgroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			return fmt.Errorf("making the cgroup %s: %w", dir, err)
		}
		if filepath.Base(root) == "cpuset" {
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				body, err := os.ReadFile(filepath.Join(root, file))
				if err != nil {
					continue // a hierarchy without the cpuset controller
				}
				if err := os.WriteFile(filepath.Join(dir, file), body, 0o644); err != nil {
					return fmt.Errorf("giving the cgroup %s its processors: %w", dir, err)
				}
			}
		}
		shares := filepath.Join(dir, "cpu.shares")
		if _, err := os.Stat(shares); err == nil {
			if err := os.WriteFile(shares, []byte(strconv.Itoa(weight)), 0o644); err != nil {
				return fmt.Errorf("giving the cgroup %s its weight: %w", dir, err)
			}
		}
	}
	return nil
}

// weight in which a whole cluster competes with what else the machine does,
// where one program has 1024: counted as one program it would starve.
const weight = 16 * 1024

// RemoveCgroup removes the run's cgroups, the innermost first.
func RemoveCgroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(root, name), func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := unix.Rmdir(dirs[i]); err != nil && err != unix.ENOENT {
				return fmt.Errorf("removing the cgroup %s: %w", dirs[i], err)
			}
		}
	}
	return nil
}

func hierarchies() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, line := range strings.Split(string(mounts), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 2 && strings.HasPrefix(fields[2], "cgroup") && strings.HasPrefix(fields[1], cgroups) {
			roots = append(roots, fields[1])
		}
	}
	return roots, nil
}
