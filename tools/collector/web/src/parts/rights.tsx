// Role and groups, as fields of a form.

import { type Role, ROLES } from "../types";

const MEANS: Record<string, string> = {
  viewer: "reads", analyst: "and sets states, writes notes", operator: "and commands, rules, outputs", admin: "and users, keys, sensors",
};

export function Rights({ prefix, role: present, groups }: { prefix: string; role?: Role; groups?: string[] | null }) {
  return (
    <>
      <div class="field">
        <label for={`${prefix}-role`}>Role</label>
        <select id={`${prefix}-role`} name="role">
          {ROLES.map((role) => <option key={role} value={role} selected={role === present}>{role}: {MEANS[role]}</option>)}
        </select>
      </div>
      <div class="field">
        <label for={`${prefix}-groups`}>Groups of sensors</label>
        <input id={`${prefix}-groups`} name="groups" maxLength={500} placeholder="empty: every sensor" autocomplete="off"
          defaultValue={groups?.join(" ") ?? ""} />
      </div>
    </>
  );
}

export function rightsOf(form: HTMLFormElement): { role: string; groups: string[] | null } {
  const field = (name: string) => (form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement).value.trim();
  const names = field("groups").split(/[\s,]+/).filter((name) => name !== "");
  return { role: field("role"), groups: names.length === 0 ? null : names };
}

export const groupsText = (groups: string[] | null): string => (groups === null ? "every sensor" : groups.join(", ") || "no sensor");
