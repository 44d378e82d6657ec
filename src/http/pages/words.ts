// What the pages say, in one place: whoever reads these reads our voice, and another language is another file of this
// shape. Calm and short; a problem says what happened and what to do. What stands around a word (a name, a time, a link) is put in
// by the page.

/** The words of the pages, by page. */
export const words = {
  places: {
    own: 'Yours',
    administration: 'Administration',
    connections: 'Connections',
    apps: 'Apps with access',
    people: 'People',
    clients: 'Clients',
    providers: 'Sign-in providers',
    support: 'Support',
  },
  common: {
    showMore: 'Show more',
  },
  people: {
    title: 'People',
    lead: 'Who may sign in here. A change holds from their next request on.',
    search: 'E-mail, name or ID',
    find: 'Search',
    showAll: 'Show all',
    nobodyFound: 'Nobody is found by these words.',
    roles: {
      user: 'User',
      admin: 'Administrator',
      operator: 'Operator',
    },
    mays: {
      user: 'Signs in, and lets apps act for them.',
      admin: 'Also looks after the people, servers and clients here.',
      operator: 'Also looks after the whole installation and all its tenants.',
    },
    on: 'May sign in',
    off: 'Switched off',
    you: 'You',
    neverSignedIn: 'Has not signed in yet',
    lastSignedIn: 'Last signed in',
    hereSince: 'Here since',
    edit: 'Edit',
    add: 'Add a person',
    addHint: 'They get a password, which is shown to you once. Pass it on in a safe way.',
    email: 'E-mail',
    notProven: 'not proven',
    noEmail: 'No address',
    name: 'Name',
    nameHint: 'What they are called here. It can stay empty.',
    role: 'Role',
    addButton: 'Add',
    passwordOf: 'The password of',
    passwordHint: 'Copy it now: it is not shown again.',
    all: 'All people',
    save: 'Save',
    saved: 'Saved.',
    isYou:
      'This is you. Only another administrator can lower your role, switch you off or remove you.',
    isOperator: 'This is an operator. Only operators change operators.',
    switchOff: 'Switch off',
    switchedOff:
      'Switched off. They are signed out, and nothing of theirs works until you switch them on.',
    offMeans:
      'They are signed out, and their apps and API keys stop. Nothing is lost: everything works again once you switch them on.',
    switchOn: 'Switch on',
    switchedOn: 'Switched on. They can sign in again.',
    onMeans: 'They can sign in again, and their apps and API keys work again.',
    newPassword: 'Give a new password',
    newPasswordMeans:
      'The password they have stops working, and they are signed out everywhere. The new one is shown to you once.',
    newPasswordButton: 'Make a new password',
    end: 'End all access',
    endMeans:
      'They are signed out everywhere, every app that they let in loses its access, and their API keys are taken back. They can sign in again, and keep their password and their connections.',
    endButton: 'End all access',
    ended: 'All their access has ended.',
    remove: 'Remove this person',
    removeMeans:
      'With them go their password, the access of their apps, their API keys and their connections; the providers of these are asked to forget them. What the journal tells of them stays. This cannot be undone.',
    removeButton: 'Remove',
  },
} as const
