/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scene.c - the machine as "ifd-nitrokey doctor" looks at it, once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "doctor.h"
#include "run.h"
#include "text.h"

/* ---- keys ---- */

static void look_at_keys(struct scene *scene)
{
    static struct key all[KEYS_MAX];
    const int count = keys_find(all);
    scene->has_usb = count >= 0;
    for (int i = 0; i < count; i++)
        if (all[i].model && all[i].ccid_interface >= 0)
            scene->keys[scene->key_count++] = all[i];
        else
            scene->other[scene->other_count++] = all[i];
}

/* ---- pcscd ---- */

/* What it was built with: "Enabled features: ... usbdropdir=/usr/lib/pcsc/drivers ... polkit". */
static void look_at_features(struct scene *scene)
{
    char text[4096];
    const char *const version[] = { "pcscd", "--version", NULL };
    snprintf(scene->drivers, sizeof scene->drivers, "%s", DRIVERS_DIRECTORY);
    if (!run(version, text, sizeof text))
        return;
    scene->has_polkit = strstr(text, " polkit") != NULL;
    const char *const directory = strstr(text, " usbdropdir=");
    if (directory)
        sscanf(directory, " usbdropdir=%4095s", scene->drivers);
}

/* /proc/PID/status: "Uid: REAL EFFECTIVE ...", "Gid: REAL EFFECTIVE ...", "Groups: ...". */
static void look_at_process(struct scene *scene)
{
    char path[64], text[8192], *rest = NULL;
    unsigned number;
    int end;
    snprintf(path, sizeof path, "/proc/%d/status", (int)scene->pcscd);
    if (scene->pcscd == 0 || text_read_file(path, text, sizeof text) < 0)
        return;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "Uid: %*u %u", &number) == 1)
            scene->pcscd_user = number;
        else if (sscanf(line, "Gid: %*u %u", &number) == 1)
            scene->pcscd_groups[scene->pcscd_group_count++] = number;
        else if (strncmp(line, "Groups:", 7) == 0)
            for (line += 7; scene->pcscd_group_count < GROUPS_MAX && sscanf(line, " %u%n", &number, &end) == 1;
                 line += end)
                scene->pcscd_groups[scene->pcscd_group_count++] = number;
    }
}

bool scene_pcscd_may(const struct scene *scene, const char *path)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return false;
    if (file.st_uid == scene->pcscd_user)
        return (file.st_mode & 0600) == 0600;
    for (int i = 0; i < scene->pcscd_group_count; i++)
        if (file.st_gid == scene->pcscd_groups[i])
            return (file.st_mode & 0060) == 0060;
    return scene->pcscd_user == 0 || (file.st_mode & 0006) == 0006;
}

/* ---- lines to type ---- */

#define START "sudo systemctl enable --now pcscd.socket"

/* systemctl refuses to start what is masked. */
static const char *start_by_systemd(void)
{
    char state[64];
    const char *const ask[] = { "systemctl", "is-enabled", "pcscd.socket", NULL };
    (void)run(ask, state, sizeof state);
    return strncmp(state, "masked", 6) == 0 ? "sudo systemctl unmask pcscd.socket pcscd.service && " START : START;
}

static const struct {
    const char *program, *pcscd, *scdaemon, *again;
} PACKAGERS[] = {
    { "apt-get", "sudo apt install pcscd", "sudo apt install scdaemon", "sudo apt install --reinstall ifd-nitrokey" },
    { "dnf", "sudo dnf install pcsc-lite", "sudo dnf install gnupg2-scdaemon", "sudo dnf reinstall ifd-nitrokey" },
    { "pacman", "sudo pacman -S pcsclite", "sudo pacman -S gnupg", "sudo pacman -S ifd-nitrokey" },
    { "zypper", "sudo zypper install pcsc-lite", "sudo zypper install gpg2",
      "sudo zypper install --force ifd-nitrokey" },
};

static void look_for_lines(struct scene *scene)
{
    char path[PATH_MAX], self[PATH_MAX] = "";
    const bool is_packaged =
        readlink("/proc/self/exe", self, sizeof self - 1) > 0 && strcmp(self, "/usr/bin/ifd-nitrokey") == 0;
    scene->has_systemd = access("/run/systemd/system", F_OK) == 0;
    scene->restart_pcscd = scene->has_systemd ? "sudo systemctl restart pcscd" : "sudo service pcscd restart";
    scene->start_pcscd = scene->has_systemd ? start_by_systemd() : "sudo service pcscd start";
    scene->install_again = "sudo meson install -C build"; /* where it was built, as README says */
    for (size_t i = sizeof PACKAGERS / sizeof PACKAGERS[0]; i-- > 0;)
        if (run_find(PACKAGERS[i].program, path, sizeof path)) {
            scene->install_pcscd = PACKAGERS[i].pcscd;
            scene->install_scdaemon = PACKAGERS[i].scdaemon;
            scene->install_again = is_packaged ? PACKAGERS[i].again : "sudo meson install -C build";
        }
}

/* ---- all ---- */

void scene_look(struct scene *scene)
{
    *scene = (struct scene){ .is_root = geteuid() == 0 };
    look_at_keys(scene);
    (void)run_find("pcscd", scene->pcscd_path, sizeof scene->pcscd_path);
    look_at_features(scene);
    pcsc_ask(&scene->pcsc); /* systemd may start pcscd now */
    scene->pcscd = process_named("pcscd");
    look_at_process(scene);
    look_for_lines(scene);
}
